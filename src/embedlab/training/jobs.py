"""How the processes of a training start, and how they meet."""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from embedlab.distributed.processes import text_from_main_process, together
from embedlab.errors import InputError
from embedlab.training.job import Job, load_job
from embedlab.training.loop import History

logger = logging.getLogger(__name__)

# In a job's folder: the line for an error that the user can mend.
ERROR = "error.txt"


def run_job(job: Job[Any, Any], devices: int = 1) -> tuple[dict[str, Any], History]:
    """Train, in several processes if `devices` or `torchrun` ask for them.

    Raises:
        InputError: as the job's `train` does, and if a process ends before its time.
    """
    launched = dist.is_torchelastic_launched()
    if not launched and devices == 1:
        return job.train()
    folder = job.checkpoint.path.with_suffix(".job")
    job.save(folder)
    try:
        if not launched:
            logger.info("%s: training in %d processes", job.name, devices)
            _launch(folder, devices)
            return job.train()
        with together():
            text_from_main_process(str(folder))
            dist.barrier()  # all have read the folder: from here on it may be removed
            return job.train()
    finally:
        shutil.rmtree(folder)


def follow() -> None:
    """Train with the first process whenever it does, until it is done with its run."""
    folder = "any"
    while folder:
        with together():
            folder = text_from_main_process()
            if folder:
                _take_part(Path(folder))


def dismiss() -> None:
    """End the waiting of the processes that follow this one."""
    with together():
        text_from_main_process("")


def _take_part(folder: Path) -> None:
    job = load_job(folder)
    dist.barrier()
    try:
        job.train()
    except InputError:
        logger.debug("the first process has met the error too, and says so")


def _launch(folder: Path, devices: int) -> None:
    """Train in processes of their own."""
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"]
    command = [sys.executable, "-m", *launcher, "-m", "embedlab.training.worker", str(folder)]
    threads = str(max(1, torch.get_num_threads() // devices))
    status = subprocess.run(
        command, check=False, env={"OMP_NUM_THREADS": threads} | os.environ
    ).returncode
    if (folder / ERROR).is_file():
        raise InputError((folder / ERROR).read_text(encoding="utf-8"))
    if status:
        raise InputError(
            f"a training process ended with status {status}, for the reason above; "
            "what was validated is kept: run again"
        )
