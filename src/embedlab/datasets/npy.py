"""NumPy arrays on disk, memory-mapped when loaded."""

from pathlib import Path

import numpy as np

from embedlab.datasets.path import PathDataset
from embedlab.errors import InputError
from embedlab.files import replacing


class NpyDataset(PathDataset[np.ndarray, np.ndarray]):
    """One array in a `.npy` file, loaded as a read-only memory map and never unpickled."""

    def load(self) -> np.ndarray:
        """Map the array into memory.

        Raises:
            InputError: if the file is not a whole `.npy` file of numbers.
        """
        return read_array(self._filepath)

    def save(self, data: np.ndarray) -> None:
        """Write the array beside its target and rename it."""
        with replacing(self._filepath) as path, path.open("wb") as file:
            np.save(file, data, allow_pickle=False)


def read_array(path: Path) -> np.ndarray:
    """Map a `.npy` file into memory, read-only.

    Raises:
        InputError: if it is not a whole `.npy` file of numbers.
    """
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: damaged ({error}); run its pipeline again") from error
    return array
