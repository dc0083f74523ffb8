"""Models with their model card as folders that transformers or sentence-transformers load."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from transformers.utils import logging as transformers_logging

from embedlab.datasets.local import PathDataset
from embedlab.errors import InputError
from embedlab.files import replacing_folder


@dataclass(frozen=True)
class DocumentedModel:
    """A SentenceTransformer, and the text of its model card."""

    model: Any
    card: str

    def save(self, folder: Path) -> None:
        """Write what `SentenceTransformer(folder)` loads."""
        self.model.save(str(folder), create_model_card=False)


class LanguageModelFolderDataset(PathDataset[Any, Any]):
    """Weights, configuration and tokenizer, of which a node gets the path, and README.md.

    A node loads this model by its path, as it loads any other LLM.
    """

    marker: ClassVar[str] = "config.json"
    made_by: ClassVar[str] = "encoder_pretrain"

    def load(self) -> Any:
        """The folder.

        Raises:
            InputError: if it holds no model.
        """
        if not self._exists():
            raise InputError(f"{self._filepath}: holds no model; run {self.made_by} first")
        return self._filepath

    def save(self, data: Any) -> None:
        """Replace the folder by a new one of a model with a `card` and a method `save`."""
        transformers_logging.disable_progress_bar()
        with replacing_folder(self._filepath) as folder:
            data.save(folder)
            (folder / "README.md").write_text(data.card, encoding="utf-8")

    def _exists(self) -> bool:
        return (self._filepath / self.marker).is_file()


class SentenceTransformerFolderDataset(LanguageModelFolderDataset):
    """A `DocumentedModel`, which a node gets as a SentenceTransformer on the CPU."""

    marker = "modules.json"
    made_by = "its pipeline"

    def load(self) -> Any:
        """Load the model; no code from the folder runs.

        Raises:
            InputError: if the folder is absent or damaged.
        """
        # Imported late: slow, and a language model needs none of it.
        from sentence_transformers import SentenceTransformer

        folder = super().load()
        transformers_logging.disable_progress_bar()
        try:
            return SentenceTransformer(str(folder), local_files_only=True, device="cpu")
        except Exception as error:  # damaged files raise errors of many types
            reason = " ".join((str(error) or type(error).__name__).split())
            raise InputError(f"{folder}: damaged ({reason}); run its pipeline again") from error
