"""The handle of the embedding store, which nodes read and extend while they run."""

from embedlab.datasets.folder_handle import FolderHandleDataset
from embedlab.encoders.store import VectorStore


class VectorStoreDataset(FolderHandleDataset):
    """A folder of vectors by encoder and text."""

    opened_as = VectorStore
