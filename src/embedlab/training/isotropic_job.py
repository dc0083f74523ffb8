"""A training of a projection, and its folder, which several processes read."""

import json
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embedlab.encoders.parameters import EncoderParameters
from embedlab.files import replacing_folder
from embedlab.tensor_files import read_tensors, write_tensors
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.isotropic import train_isotropic
from embedlab.training.isotropic_models import IsotropicData
from embedlab.training.isotropic_parameters import IsotropicTrainingParameters
from embedlab.training.loop import History
from embedlab.training.step_log import StepLog

ARRAYS = ("queries", "documents", "triples", "validation")


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

    def train(self) -> tuple[dict[str, Any], History]:
        """Train as one of the processes; a finished training only gives its result."""
        return train_isotropic(self.data, self.parameters, self.checkpoint, self.log, self.name)

    def save(self, folder: Path) -> None:
        """Write all to a folder; arrays that are files already are linked, not copied."""
        settings = {
            "kind": "isotropic",
            "name": self.name,
            "parameters": self.parameters.model_dump(mode="json"),
            "encoder": self.data.encoder and self.data.encoder.model_dump(mode="json"),
            "checkpoint": [str(self.checkpoint.path), self.checkpoint.fingerprint],
            "log": self.log and self.log.settings,
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
        log and StepLog.from_settings(log),
    )
