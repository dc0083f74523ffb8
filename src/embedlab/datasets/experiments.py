"""The handle of finished experiments, which nodes read and extend while they run."""

import json
from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import JSONPreview

from embedlab.training.experiment_folder import ExperimentFolder


class ExperimentsDataset(AbstractDataset[NoReturn, ExperimentFolder]):
    """Results by the name of their experiment; it exists from the start, empty."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> ExperimentFolder:
        """Open the folder."""
        return ExperimentFolder(self._filepath)

    def save(self, data: NoReturn) -> None:
        """Refuse: each experiment is saved when it is finished."""
        raise DatasetError("experiments are saved through their handle")

    def preview(self) -> JSONPreview:
        """The summary of every experiment, for Kedro-Viz."""
        summaries = {name: result["summary"] for name, result in self.load().items()}
        return JSONPreview(json.dumps(summaries))

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
