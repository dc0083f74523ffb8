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
        filepath: the folder, or a URL if the handle takes one.
        opened_as: dotted name of the handle's class, which is called with the path or the URL.
        metadata: for Kedro-Viz.
    """

    def __init__(self, *, filepath: str, opened_as: str, metadata: dict[str, Any] | None = None):
        super().__init__(filepath=filepath, metadata=metadata)
        self._location = filepath if "://" in filepath else self._filepath
        self._opened_as = opened_as

    def load(self) -> Any:
        """Make the handle."""
        return self._handle_class()(self._location)

    def save(self, data: NoReturn) -> None:
        """Refuse: nodes write through the handle."""
        raise DatasetError(f"{self._location} is written through its handle")

    def preview(self) -> JSONPreview:
        """The handle's preview of the content, for Kedro-Viz."""
        return JSONPreview(json.dumps(self.load().preview()))

    def _handle_class(self) -> Any:
        return load_obj(self._opened_as)

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._location)}


class ResumableFolderDataset(FolderHandleDataset):
    """A folder of unfinished or finished work, whose handle ignores work on other inputs.

    Attributes:
        made_from: digest of the code and the inputs of the node that loads it, set before it loads.
    """

    made_from = ""

    def load(self) -> Any:
        """Make the handle for work that is made from this."""
        return self._handle_class()(self._filepath, self.made_from)
