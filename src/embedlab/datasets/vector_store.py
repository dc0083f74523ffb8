"""The handle of the embedding store, which nodes read and extend while they run."""

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from embedlab.encoders.store import VectorStore


class VectorStoreDataset(AbstractDataset[NoReturn, VectorStore]):
    """A folder of vectors by encoder and text; it exists from the start, empty."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> VectorStore:
        """Open the store."""
        return VectorStore(self._filepath)

    def save(self, data: NoReturn) -> None:
        """Refuse: the store saves itself, shard by shard."""
        raise DatasetError("the embedding store is written through its handle")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
