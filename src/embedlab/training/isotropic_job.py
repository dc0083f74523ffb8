"""A training of a projection as a folder, which several processes read; and how they start."""

import json
import logging
import mmap
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from embedlab.encoders.parameters import EncoderParameters
from embedlab.errors import InputError
from embedlab.files import replacing_folder
from embedlab.tensor_files import read_tensors, write_tensors
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.distributed import text_from_main_process, together
from embedlab.training.isotropic import train_isotropic
from embedlab.training.isotropic_models import IsotropicData
from embedlab.training.isotropic_parameters import IsotropicTrainingParameters
from embedlab.training.loop import History
from embedlab.training.step_log import StepLog

logger = logging.getLogger(__name__)

ARRAYS = ("queries", "documents", "triples", "validation")
# In a job's folder: the line for an error that the user can mend.
ERROR = "error.txt"


@dataclass(frozen=True)
class IsotropicJob:
    """All that a training needs.

    Attributes:
        name: for progress bars.
        data: what it reads.
        parameters: how it goes.
        checkpoint: where it goes on after it was stopped, and where its result is.
        log: takes its losses.
    """

    name: str
    data: IsotropicData
    parameters: IsotropicTrainingParameters
    checkpoint: Checkpoint
    log: StepLog | None = None

    def run(self, devices: int = 1) -> tuple[dict[str, Any], History]:
        """Train, in several processes if `devices` or `torchrun` ask for them.

        Raises:
            InputError: as `train_isotropic` does, and if a process ends before its time.
        """
        launched = dist.is_torchelastic_launched()
        if not launched and devices == 1:
            return self.train()
        folder = self.checkpoint.path.with_suffix(".job")
        self.save(folder)
        try:
            if not launched:
                _launch(folder, devices)
                return self.train()
            with together():
                text_from_main_process(str(folder))
                dist.barrier()  # all have read the folder: from here on it may be removed
                return self.train()
        finally:
            shutil.rmtree(folder)

    def train(self) -> tuple[dict[str, Any], History]:
        """Train as one of the processes; a finished training only gives its result."""
        return train_isotropic(self.data, self.parameters, self.checkpoint, self.log, self.name)

    def save(self, folder: Path) -> None:
        """Write all to a folder; arrays that are files already are linked, not copied."""
        settings = {
            "name": self.name,
            "parameters": self.parameters.model_dump(mode="json"),
            "encoder": self.data.encoder and self.data.encoder.model_dump(mode="json"),
            "checkpoint": [str(self.checkpoint.path), self.checkpoint.fingerprint],
            "log": self.log and self.log.paths,
        }
        with replacing_folder(folder) as fresh:
            (fresh / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
            for name in ARRAYS:
                content = getattr(self.data, name)
                if isinstance(content, np.memmap) and isinstance(content.base, mmap.mmap):
                    (fresh / f"{name}.npy").symlink_to(str(content.filename))  # a whole file
                elif isinstance(content, np.ndarray):
                    np.save(fresh / f"{name}.npy", content)
                else:
                    (fresh / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
            if self.data.start is not None:
                write_tensors(fresh / "start.pt", self.data.start)


def load_job(folder: Path) -> IsotropicJob:
    """Read what `IsotropicJob.save` has written; arrays stay on the disk."""
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    content = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        if (folder / f"{name}.npy").is_file()
        else json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in ARRAYS
    }
    encoder, start = settings["encoder"], folder / "start.pt"
    data = IsotropicData(
        **content,
        encoder=encoder and EncoderParameters.model_validate(encoder).root,
        start=read_tensors(start) if start.is_file() else None,
    )
    path, fingerprint = settings["checkpoint"]
    log = settings["log"]
    return IsotropicJob(
        settings["name"],
        data,
        IsotropicTrainingParameters.model_validate(settings["parameters"]),
        Checkpoint(Path(path), fingerprint),
        log and StepLog(*(path and Path(path) for path in log)),
    )


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
    logger.info("Training in %d processes", devices)
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
