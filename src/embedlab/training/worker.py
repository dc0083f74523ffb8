"""One of the processes of a training: `torchrun -m embedlab.training.worker FOLDER`."""

import sys
from pathlib import Path

from embedlab.errors import InputError
from embedlab.training.collectives import rank
from embedlab.training.distributed import start_processes
from embedlab.training.isotropic_job import load_job


def main() -> None:
    """Train the job of the folder that is named on the command line."""
    start_processes()
    try:
        load_job(Path(sys.argv[1])).train()
    except InputError as error:
        sys.exit(f"Error: {error}" if rank() == 0 else 1)


if __name__ == "__main__":
    main()
