"""Folders that nodes read and extend while they run."""

import json
from typing import Any, NoReturn

from kedro.io import DatasetError
from kedro.utils import load_obj
from kedro_datasets._typing import JSONPreview

from embedlab.datasets.local import PathDataset


class FolderHandleDataset(PathDataset[NoReturn, Any]):
    """A folder of which a node gets a handle; it counts as existing, also before the first use.

    Args:
        filepath: the folder.
        opened_as: dotted name of the handle's class, which is called with the folder's path.
        metadata: for Kedro-Viz.
    """

    def __init__(self, *, filepath: str, opened_as: str, metadata: dict[str, Any] | None = None):
        super().__init__(filepath=filepath, metadata=metadata)
        self._opened_as = opened_as

    def load(self) -> Any:
        """Make the handle."""
        return load_obj(self._opened_as)(self._filepath)

    def save(self, data: NoReturn) -> None:
        """Refuse: nodes write through the handle."""
        raise DatasetError(f"{self._filepath} is written through its handle")

    def preview(self) -> JSONPreview:
        """The handle's preview of the content, for Kedro-Viz."""
        return JSONPreview(json.dumps(self.load().preview()))

    def _exists(self) -> bool:
        return True
