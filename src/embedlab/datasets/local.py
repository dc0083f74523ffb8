"""Datasets of one local file or folder: their base class, arrays and tensors."""

from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from kedro.io import AbstractDataset

from embedlab.digests import hashed_file
from embedlab.errors import InputError
from embedlab.files import replacing
from embedlab.tensor_files import read_tensors, write_tensors

Saved = TypeVar("Saved")
Loaded = TypeVar("Loaded")


class PathDataset(AbstractDataset[Saved, Loaded], Generic[Saved, Loaded]):
    """A file or folder, which exists as soon as its path does."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = Path(filepath)
        self.metadata = metadata

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class NpyDataset(PathDataset[np.ndarray, np.ndarray]):
    """One array in a `.npy` file, loaded as a read-only memory map and never unpickled."""

    def load(self) -> np.ndarray:
        """Map the array into memory.

        Raises:
            InputError: if the file is not a whole `.npy` file of numbers.
        """
        return read_array(self._filepath)

    def save(self, data: np.ndarray) -> None:
        """Write the array to a temporary file and rename it."""
        with replacing(self._filepath) as path, hashed_file(path) as file:
            np.save(file, data, allow_pickle=False)


class TorchDataset(PathDataset[dict[str, Any], dict[str, Any]]):
    """A dictionary of tensors and plain values in a `.pt` file, loaded with `weights_only=True`."""

    def load(self) -> dict[str, Any]:
        """Load onto the CPU; no code from the file runs."""
        return read_tensors(self._filepath)

    def save(self, data: dict[str, Any]) -> None:
        """Write the dictionary to a temporary file and rename it."""
        write_tensors(self._filepath, data)


def read_array(path: Path) -> np.ndarray:
    """Map a `.npy` file into memory, read-only; errors as in `NpyDataset.load`."""
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: damaged ({error}); run its pipeline again") from error
    return array
