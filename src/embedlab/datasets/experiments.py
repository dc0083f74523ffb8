"""The handle of finished experiments, which nodes read and extend while they run."""

import json

from kedro_datasets._typing import JSONPreview

from embedlab.datasets.folder_handle import FolderHandleDataset
from embedlab.novelty.experiment_folder import ExperimentFolder


class ExperimentsDataset(FolderHandleDataset):
    """Results by the name of their experiment."""

    opened_as = ExperimentFolder

    def preview(self) -> JSONPreview:
        """The summary of every experiment, for Kedro-Viz."""
        summaries = {name: result["summary"] for name, result in self.load().items()}
        return JSONPreview(json.dumps(summaries))
