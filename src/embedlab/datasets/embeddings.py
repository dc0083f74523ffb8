"""The vectors of a collection as a folder of three files."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from embedlab.datasets.local import PathDataset, read_array
from embedlab.digests import hashed_file
from embedlab.encoders.embeddings import Embeddings
from embedlab.errors import InputError
from embedlab.files import replacing_folder

METADATA = "embeddings_metadata.json"


class EmbeddingsDataset(PathDataset[Embeddings, Embeddings]):
    """`embeddings.npy`, memory-mapped when loaded, `ids.json` and `embeddings_metadata.json`.

    The three files are replaced together. Each has a further catalog entry, for reading.
    """

    def __init__(self, *, filepath: str, name: str, metadata: dict[str, Any] | None = None):
        super().__init__(filepath=filepath, metadata=metadata)
        self._name = name

    def load(self) -> Embeddings:
        """Map the vectors into memory.

        Raises:
            InputError: if a file is damaged.
        """
        vectors = read_array(self._filepath / "embeddings.npy")
        ids, metadata = (_read_json(self._filepath / file) for file in ("ids.json", METADATA))
        return Embeddings(vectors, ids, metadata, self._name)

    def save(self, data: Embeddings) -> None:
        """Write a new folder, which then replaces the old one."""
        with replacing_folder(self._filepath) as folder:
            with hashed_file(folder / "embeddings.npy") as array:
                np.save(array, data.vectors, allow_pickle=False)
            for file, content in {"ids.json": data.ids, METADATA: data.metadata}.items():
                text = json.dumps(content, indent=2, ensure_ascii=False)
                (folder / file).write_text(text, encoding="utf-8")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}); run its pipeline again") from error
