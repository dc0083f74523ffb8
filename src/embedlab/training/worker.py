"""One of the processes of a training: `torchrun -m embedlab.training.worker FOLDER`."""

import sys
from pathlib import Path

from embedlab.distributed.processes import together
from embedlab.errors import InputError
from embedlab.training.job import load_job
from embedlab.training.jobs import ERROR


def main() -> None:
    """Train the job of the folder that is named on the command line."""
    folder = Path(sys.argv[1])
    try:
        with together():
            load_job(folder).train()
    except InputError as error:  # all processes meet it
        (folder / ERROR).write_text(str(error), encoding="utf-8")


if __name__ == "__main__":
    main()
