"""Handles of folders that nodes read and extend while they run."""

import json
from typing import Any, NoReturn

from kedro.io import DatasetError
from kedro.utils import load_obj
from kedro_datasets._typing import JSONPreview

from embedlab.datasets.local import PathDataset


class FolderHandleDataset(PathDataset[NoReturn, Any]):
    """A folder that is opened and not read; it exists from the start, empty.

    Args:
        filepath: the folder.
        opened_as: dotted name of the class that a node gets, made from the folder's path.
        metadata: for Kedro-Viz.
    """

    def __init__(self, *, filepath: str, opened_as: str, metadata: dict[str, Any] | None = None):
        super().__init__(filepath=filepath, metadata=metadata)
        self._opened_as = opened_as

    def load(self) -> Any:
        """Open the folder."""
        return load_obj(self._opened_as)(self._filepath)

    def save(self, data: NoReturn) -> None:
        """Refuse: what is finished is saved at once, through the handle."""
        raise DatasetError(f"{self._filepath} is written through its handle")

    def preview(self) -> JSONPreview:
        """What the opened folder tells of its content, for Kedro-Viz."""
        return JSONPreview(json.dumps(self.load().preview()))

    def _exists(self) -> bool:
        return True
