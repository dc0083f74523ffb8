"""A training of a projection, and what it reads, as files."""

import json
import mmap
from pathlib import Path
from typing import Any

import numpy as np

from embedlab.encoders.parameters import EncoderParameters
from embedlab.isotropic.models import IsotropicData
from embedlab.isotropic.parameters import IsotropicTrainingParameters
from embedlab.isotropic.training import train_isotropic
from embedlab.tensor_files import read_tensors, write_tensors
from embedlab.training.job import Job
from embedlab.training.loop import History

ARRAYS = ("queries", "documents", "triples", "validation")
ENCODER, START = "encoder.json", "start.pt"


class IsotropicJob(Job[IsotropicData, IsotropicTrainingParameters]):
    """A training of a projection."""

    kind = "isotropic"
    parameters_type = IsotropicTrainingParameters

    def train(self) -> tuple[dict[str, Any], History]:
        """Train as one of the processes."""
        return train_isotropic(self.data, self.parameters, self.checkpoint, self.log, self.name)

    def write_data(self, folder: Path) -> None:
        """Write all to files; arrays that are files already are linked, not copied."""
        for name in ARRAYS:
            content = getattr(self.data, name)
            if isinstance(content, np.memmap) and isinstance(content.base, mmap.mmap):
                (folder / f"{name}.npy").symlink_to(str(content.filename))  # a whole file
            elif isinstance(content, np.ndarray):
                np.save(folder / f"{name}.npy", content)
            else:
                (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        if self.data.encoder is not None:
            (folder / ENCODER).write_text(self.data.encoder.model_dump_json(), encoding="utf-8")
        if self.data.start is not None:
            write_tensors(folder / START, self.data.start)

    @staticmethod
    def read_data(folder: Path) -> IsotropicData:
        """Read what `write_data` has written; arrays stay on the disk."""
        content = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            if (folder / f"{name}.npy").is_file()
            else json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
            for name in ARRAYS
        }
        encoder, start = folder / ENCODER, folder / START
        return IsotropicData(
            **content,
            encoder=EncoderParameters.model_validate_json(encoder.read_bytes()).root
            if encoder.is_file()
            else None,
            start=read_tensors(start) if start.is_file() else None,
        )
