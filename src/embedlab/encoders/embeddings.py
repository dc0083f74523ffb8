"""The vectors of a collection by one encoder, with what identifies them."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Embeddings:
    """The vectors of a collection: one value in code, three files in the catalog.

    Attributes:
        vectors: float32 `(n, d)`; row i belongs to `ids[i]`.
        ids: n distinct identifiers.
        metadata: how the vectors were made, ready for JSON.
        name: `{encoder}.{collection}`, as the catalog calls it; empty before the catalog has it.
    """

    vectors: np.ndarray
    ids: list[str]
    metadata: dict[str, Any]
    name: str = ""

    @property
    def encoder(self) -> str:
        """The encoder's name."""
        return self.name.partition(".")[0]

    @property
    def collection(self) -> str:
        """The collection's name."""
        return self.name.partition(".")[2]


def describe_vectors(vectors: np.ndarray) -> dict[str, Any]:
    """The shape of vectors `(n, d)` and the distribution of their Euclidean norms."""
    # einsum makes no squared copy of all vectors, as numpy.linalg.norm does.
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors)) if len(vectors) else np.zeros(1)
    return {
        "n_items": vectors.shape[0],
        "embedding_dim": vectors.shape[1],
        "norm": {name: float(getattr(norms, name)()) for name in ("min", "mean", "max", "std")},
    }
