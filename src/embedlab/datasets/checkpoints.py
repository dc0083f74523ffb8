"""The handle of a folder of checkpoints, which nodes read and replace while they train."""

from embedlab.datasets.folder_handle import FolderHandleDataset
from embedlab.training.checkpoints import CheckpointFolder


class CheckpointsDataset(FolderHandleDataset):
    """A folder of checkpoints by name."""

    opened_as = CheckpointFolder
