"""The vectors of a collection by one encoder, with what identifies them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from embedlab.text_table import Ids

ROWS_PER_BLOCK = 16384


@dataclass(frozen=True)
class Embeddings:
    """The vectors of a collection: one value in code, three files in the catalog.

    Attributes:
        vectors: float32 `(n, d)`, mapped into memory; row i belongs to `ids[i]`.
        ids: n distinct identifiers.
        metadata: how the vectors were made, ready for JSON.
        name: `{encoder}.{collection}`, as the catalog calls it.
    """

    vectors: np.ndarray
    ids: Ids
    metadata: dict[str, Any]
    name: str

    @property
    def encoder(self) -> str:
        """The encoder's name."""
        return self.name.partition(".")[0]

    @property
    def collection(self) -> str:
        """The collection's name."""
        return self.name.partition(".")[2]


@dataclass(frozen=True)
class VectorStream:
    """Vectors `(n, d)` that are made block by block when they are read, as they may exceed memory.

    Attributes:
        shape: n and d.
        blocks: gives the blocks of rows, float32 `(m, d)`, in order.
    """

    shape: tuple[int, int]
    blocks: Callable[[], Iterator[np.ndarray]]

    def read(self) -> np.ndarray:
        """All vectors in memory."""
        vectors, start = np.empty(self.shape, dtype=np.float32), 0
        for block in self.blocks():
            vectors[start : start + len(block)] = block
            start += len(block)
        return vectors


@dataclass(frozen=True)
class NewEmbeddings:
    """The vectors of a collection before they are written.

    Attributes:
        vectors: those of n items.
        ids: n distinct identifiers.
        metadata: how the vectors were made, ready for JSON.
    """

    vectors: VectorStream
    ids: Ids
    metadata: dict[str, Any]


def blocks_of(vectors: np.ndarray) -> Iterator[np.ndarray]:
    """The blocks of rows of an array."""
    for start in range(0, len(vectors), ROWS_PER_BLOCK):
        yield vectors[start : start + ROWS_PER_BLOCK]
