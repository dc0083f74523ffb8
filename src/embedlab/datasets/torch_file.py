"""Tensors and plain values in a `.pt` file."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from kedro.io import AbstractDataset

from embedlab.errors import InputError
from embedlab.files import replacing


class TorchDataset(AbstractDataset[dict[str, Any], dict[str, Any]]):
    """A dictionary of tensors and plain values, loaded with `weights_only=True`."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """Load onto the CPU, executing nothing from the file."""
        try:
            content: dict[str, Any] = torch.load(
                self._filepath, map_location="cpu", weights_only=True
            )
        except (RuntimeError, EOFError, UnpicklingError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{self._filepath}: damaged ({reason}); make it again") from error
        return content

    def save(self, data: dict[str, Any]) -> None:
        """Write beside the target and rename."""
        with replacing(self._filepath) as path:
            torch.save(data, path)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
