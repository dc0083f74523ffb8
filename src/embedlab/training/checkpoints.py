"""Checkpoints: the saved state from which an interrupted training resumes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedlab.digests import value_digest
from embedlab.tensor_files import read_tensors, write_tensors


@dataclass(frozen=True)
class Checkpoint:
    """The last saved state of one training.

    Attributes:
        path: the file, replaced by each save.
        fingerprint: digest of everything that determines the training; the state of a training
            with another one is ignored.
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
    """A folder with one checkpoint file per name.

    Attributes:
        made_from: digest of the code and the data of the trainings that are resumed.
    """

    path: Path
    made_from: str = ""

    def checkpoint(self, name: str, settings: Mapping[str, Any]) -> Checkpoint:
        """The checkpoint of the training with this name and these JSON-ready settings."""
        return Checkpoint(self.path / f"{name}.pt", value_digest([self.made_from, settings]))
