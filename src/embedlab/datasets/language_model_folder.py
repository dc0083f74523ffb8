"""A language model as a folder that transformers loads."""

from pathlib import Path
from typing import Any, Protocol

from transformers.utils import logging as transformers_logging

from embedlab.datasets.path import PathDataset
from embedlab.errors import InputError
from embedlab.files import replacing_folder


class DocumentedLanguageModel(Protocol):
    """A transformers model and tokenizer, and the text of the model's card."""

    model: Any
    tokenizer: Any

    @property
    def card(self) -> str:
        """What the folder's README.md says."""


class LanguageModelFolderDataset(PathDataset[DocumentedLanguageModel, Path]):
    """Weights, configuration and tokenizer; what is loaded is the folder's path.

    A node that reads through the model loads it by its path, as it loads any other LLM.
    """

    def load(self) -> Path:
        """The folder.

        Raises:
            InputError: if it holds no model.
        """
        if not self._exists():
            raise InputError(f"{self._filepath}: holds no model; run encoder_pretrain first")
        return self._filepath

    def save(self, data: DocumentedLanguageModel) -> None:
        """Write a new folder and put it in the place of the old one."""
        transformers_logging.disable_progress_bar()
        with replacing_folder(self._filepath) as folder:
            data.model.save_pretrained(str(folder))
            data.tokenizer.save_pretrained(str(folder))
            (folder / "README.md").write_text(data.card, encoding="utf-8")

    def _exists(self) -> bool:
        return (self._filepath / "config.json").is_file()
