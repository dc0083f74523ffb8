"""A language model as a folder that transformers loads."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset
from transformers.utils import logging as transformers_logging

from embedlab.errors import InputError
from embedlab.files import replacing_folder
from embedlab.resource_encoder.small_language_model import SmallLanguageModel


class LanguageModelFolderDataset(AbstractDataset[SmallLanguageModel, Path]):
    """Weights, configuration and tokenizer; what is loaded is the folder's path.

    Whoever reads through the model loads it as any other one, from its path.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        """The folder.

        Raises:
            InputError: if it holds no model.
        """
        if not self._exists():
            raise InputError(f"{self._filepath}: holds no model; run encoder_pretrain first")
        return self._filepath

    def save(self, data: SmallLanguageModel) -> None:
        """Write a new folder and put it in the place of the old one."""
        transformers_logging.disable_progress_bar()
        with replacing_folder(self._filepath) as folder:
            data.model.save_pretrained(str(folder))
            data.tokenizer.save_pretrained(str(folder))
            (folder / "README.md").write_text(data.card, encoding="utf-8")

    def _exists(self) -> bool:
        return (self._filepath / "config.json").is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
