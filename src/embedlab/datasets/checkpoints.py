"""The handle of a folder of checkpoints, which nodes read and replace while they train."""

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from embedlab.training.checkpoints import CheckpointFolder


class CheckpointsDataset(AbstractDataset[NoReturn, CheckpointFolder]):
    """A folder of checkpoints by name; it exists from the start, empty."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> CheckpointFolder:
        """Open the folder."""
        return CheckpointFolder(self._filepath)

    def save(self, data: NoReturn) -> None:
        """Refuse: training saves its own checkpoints."""
        raise DatasetError("checkpoints are written through their handle")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
