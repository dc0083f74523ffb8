"""Tensors and plain values in a `.pt` file."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from embedlab.tensor_files import read_tensors, write_tensors


class TorchDataset(AbstractDataset[dict[str, Any], dict[str, Any]]):
    """A dictionary of tensors and plain values, loaded with `weights_only=True`."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """Load onto the CPU, executing nothing from the file."""
        return read_tensors(self._filepath)

    def save(self, data: dict[str, Any]) -> None:
        """Write beside the target and rename."""
        write_tensors(self._filepath, data)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
