"""The base of handles: folders that nodes read and extend while they run."""

from pathlib import Path
from typing import Any, ClassVar, NoReturn

from kedro.io import AbstractDataset, DatasetError


class FolderHandleDataset(AbstractDataset[NoReturn, Any]):
    """A folder that is opened and not read; it exists from the start, empty.

    Attributes:
        opened_as: what a node gets, made from the folder's path.
    """

    opened_as: ClassVar[type]

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Any:
        """Open the folder."""
        return self.opened_as(self._filepath)

    def save(self, data: NoReturn) -> None:
        """Refuse: what is finished is saved at once, through the handle."""
        raise DatasetError(f"{self._filepath} is written through its handle")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
