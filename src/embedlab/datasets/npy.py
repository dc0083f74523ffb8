"""NumPy arrays on disk, memory-mapped when loaded."""

from pathlib import Path
from typing import Any

import numpy as np
from kedro.io import AbstractDataset

from embedlab.errors import InputError
from embedlab.files import replacing


class NpyDataset(AbstractDataset[np.ndarray, np.ndarray]):
    """One array in a `.npy` file, loaded as a read-only memory map and never unpickled."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> np.ndarray:
        """Map the array into memory.

        Raises:
            InputError: if the file is not a whole `.npy` file of numbers.
        """
        try:
            array: np.ndarray = np.load(self._filepath, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise InputError(
                f"{self._filepath}: damaged ({error}); run its pipeline again"
            ) from error
        return array

    def save(self, data: np.ndarray) -> None:
        """Write the array beside its target and rename it."""
        with replacing(self._filepath) as path, path.open("wb") as file:
            np.save(file, data, allow_pickle=False)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
