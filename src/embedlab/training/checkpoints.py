"""Checkpoints: where training goes on after it was stopped."""

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
    """The last finished epoch of one training run, in one file that each epoch replaces.

    Attributes:
        path: the file.
        fingerprint: of all that decides what the run computes; another run's state is not used.
    """

    path: Path
    fingerprint: str

    def load(self) -> dict[str, Any] | None:
        """The state last saved by this very run, if there is one.

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
    """A folder of checkpoints by name."""

    path: Path

    def checkpoint(self, name: str, fingerprint: str) -> Checkpoint:
        """The checkpoint of this name for the run of this fingerprint."""
        return Checkpoint(self.path / f"{name}.pt", fingerprint)


def run_fingerprint(settings: Mapping[str, Any], *arrays: np.ndarray) -> str:
    """SHA-256 of what decides a training run: JSON-ready settings, and the data's arrays."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
