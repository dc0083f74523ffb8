"""Tensors and plain values in a `.pt` file."""

from typing import Any

from embedlab.datasets.path import PathDataset
from embedlab.tensor_files import read_tensors, write_tensors


class TorchDataset(PathDataset[dict[str, Any], dict[str, Any]]):
    """A dictionary of tensors and plain values, loaded with `weights_only=True`."""

    def load(self) -> dict[str, Any]:
        """Load onto the CPU, executing nothing from the file."""
        return read_tensors(self._filepath)

    def save(self, data: dict[str, Any]) -> None:
        """Write beside the target and rename."""
        write_tensors(self._filepath, data)
