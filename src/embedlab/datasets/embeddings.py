"""The vectors of a collection as a folder of three files."""

import json
from typing import Any, BinaryIO

import numpy as np

from embedlab.datasets.ids import read_ids, write_ids
from embedlab.datasets.local import PathDataset, read_array
from embedlab.digests import hashed_file
from embedlab.encoders.embeddings import Embeddings, NewEmbeddings, VectorStream
from embedlab.errors import InputError
from embedlab.files import replacing_folder

METADATA = "embeddings_metadata.json"


class EmbeddingsDataset(PathDataset[NewEmbeddings, Embeddings]):
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
        ids, metadata = read_ids(self._filepath / "ids.json"), self._read_metadata()
        return Embeddings(vectors, ids, metadata, self._name)

    def save(self, data: NewEmbeddings) -> None:
        """Write a new folder block by block, which then replaces the old one."""
        with replacing_folder(self._filepath) as folder:
            with hashed_file(folder / "embeddings.npy") as file:
                description = _write_vectors(data.vectors, file)
            write_ids(data.ids, folder / "ids.json")
            text = json.dumps(description | data.metadata, indent=2, ensure_ascii=False)
            (folder / METADATA).write_text(text, encoding="utf-8")

    def _read_metadata(self) -> dict[str, Any]:
        path = self._filepath / METADATA
        try:
            metadata: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path}: damaged ({error}); run its pipeline again") from error
        return metadata


def _write_vectors(vectors: VectorStream, file: BinaryIO) -> dict[str, Any]:
    """Write a `.npy` file; describe the vectors by shape and distribution of their norms."""
    header = {"descr": "<f4", "fortran_order": False, "shape": vectors.shape}
    np.lib.format.write_array_header_1_0(file, header)
    norms = [np.zeros(0, np.float32)]
    for block in vectors.blocks():
        # einsum makes no squared copy of the block, as numpy.linalg.norm does.
        norms.append(np.sqrt(np.einsum("nd,nd->n", block, block)))
        file.write(np.ascontiguousarray(block, dtype="<f4").data)
    lengths = np.concatenate(norms) if vectors.shape[0] else np.zeros(1)
    return {
        "n_items": vectors.shape[0],
        "embedding_dim": vectors.shape[1],
        "norm": {name: float(getattr(lengths, name)()) for name in ("min", "mean", "max", "std")},
    }
