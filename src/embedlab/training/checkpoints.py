"""Checkpoints: the saved state from which an interrupted training resumes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embedlab.tensor_files import read_tensors, write_tensors


@dataclass(frozen=True)
class Checkpoint:
    """The last saved state of one training.

    Attributes:
        path: the file, replaced by each save.
        fingerprint: hash of everything that determines the training; the state of a training with
            another fingerprint is ignored.
    """

    path: Path
    fingerprint: str

    def load(self) -> dict[str, Any] | None:
        """The saved state, or None if there is none with this fingerprint.

        Raises:
            InputError: if the file is damaged.
        """
        if not self.path.is_file():
            return None
        content = read_tensors(self.path)
        return content.get("state") if content.get("fingerprint") == self.fingerprint else None

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file in one rename."""
        write_tensors(self.path, {"fingerprint": self.fingerprint, "state": state})


@dataclass(frozen=True)
class CheckpointFolder:
    """A folder with one checkpoint file per name."""

    path: Path

    def checkpoint(self, name: str, fingerprint: str) -> Checkpoint:
        """The checkpoint of this name and fingerprint."""
        return Checkpoint(self.path / f"{name}.pt", fingerprint)


def run_fingerprint(settings: Mapping[str, Any], *arrays: np.ndarray) -> str:
    """SHA-256 of JSON-ready settings and of arrays with their types and shapes.

    Example:
        >>> run_fingerprint({"seed": 0}, np.arange(3)) == run_fingerprint({"seed": 0}, np.arange(4))
        False
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
