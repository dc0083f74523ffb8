"""A SentenceTransformer and its model card as a folder."""

from dataclasses import dataclass

from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from embedlab.datasets.path import PathDataset
from embedlab.errors import InputError
from embedlab.files import replacing_folder


@dataclass(frozen=True)
class DocumentedModel:
    """A model, and the text of its card."""

    model: SentenceTransformer
    card: str


class SentenceTransformerFolderDataset(PathDataset[DocumentedModel, SentenceTransformer]):
    """What `SentenceTransformer(path)` loads, and a hub shows: modules, tokenizer, README.md."""

    def load(self) -> SentenceTransformer:
        """Load the model onto the CPU; no code from the folder runs.

        Raises:
            InputError: if the folder is absent or damaged.
        """
        if not self._exists():
            raise InputError(f"{self._filepath}: holds no model; run its pipeline first")
        transformers_logging.disable_progress_bar()
        try:
            return SentenceTransformer(str(self._filepath), local_files_only=True, device="cpu")
        except Exception as error:  # damaged files raise whatever they happen to run into
            reason = " ".join((str(error) or type(error).__name__).split())
            raise InputError(
                f"{self._filepath}: damaged ({reason}); run its pipeline again"
            ) from error

    def save(self, data: DocumentedModel) -> None:
        """Write a new folder and put it in the place of the old one."""
        transformers_logging.disable_progress_bar()
        with replacing_folder(self._filepath) as folder:
            data.model.save(str(folder), create_model_card=False)
            (folder / "README.md").write_text(data.card, encoding="utf-8")

    def _exists(self) -> bool:
        return (self._filepath / "modules.json").is_file()
