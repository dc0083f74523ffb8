"""What a model reads of queries and documents by their rows: cached vectors, or texts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from embedlab.encoders.parameters import Role

if TYPE_CHECKING:
    from embedlab.isotropic.trainable_encoder import TrainableEncoder

# Vectors projected at a time when a model is validated.
BLOCK_ROWS = 16384


class RetrievalInputs(Protocol):
    """Queries and documents, by row."""

    def batch(self, queries: np.ndarray, documents: np.ndarray) -> tuple[Any, ...]:
        """What a model is called with for these rows `(b,)` and `(m,)`; it gives `(b + m, d)`."""

    def encode(self, model: nn.Module, role: Role, rows: np.ndarray) -> np.ndarray:
        """The vectors of rows `(n,)` by the model as it is now, float32 `(n, d)`."""


class CachedInputs:
    """Base vectors from the cache, which only a projection has to be computed of.

    Args:
        queries: `(n, d)`; may be a memory map, of which only the rows asked for are read.
        documents: `(m, d)`; the same.
        device: where the model is.
    """

    def __init__(self, queries: np.ndarray, documents: np.ndarray, device: torch.device):
        self.vectors: dict[Role, np.ndarray] = {"query": queries, "document": documents}
        self.device = device

    def batch(self, queries: np.ndarray, documents: np.ndarray) -> tuple[Tensor]:
        """The base vectors of both, in one tensor."""
        vectors = [self.vectors["query"][queries], self.vectors["document"][documents]]
        return (torch.from_numpy(np.concatenate(vectors)).to(self.device),)

    def encode(self, model: nn.Module, role: Role, rows: np.ndarray) -> np.ndarray:
        """The projected vectors."""
        return project(model, self.vectors[role], rows, self.device)


class OnlineInputs:
    """Texts, which the base encoder reads in every step.

    Args:
        queries: n texts.
        documents: m texts.
        encoder: tokenizes them.
    """

    def __init__(
        self, queries: Sequence[str], documents: Sequence[str], encoder: "TrainableEncoder"
    ):
        self.texts: dict[Role, Sequence[str]] = {"query": queries, "document": documents}
        self.encoder = encoder

    def batch(self, queries: np.ndarray, documents: np.ndarray) -> tuple[Any, Any]:
        """The tokens of the queries, and those of the documents."""
        return self._tokens("query", queries), self._tokens("document", documents)

    def encode(self, model: nn.Module, role: Role, rows: np.ndarray) -> np.ndarray:
        """The vectors of the whole model."""
        encoder = cast("TrainableEncoder", model)
        return encoder.encode([self.texts[role][row] for row in rows], role)

    def _tokens(self, role: Role, rows: np.ndarray) -> dict[str, Any]:
        return self.encoder.tokenize([self.texts[role][row] for row in rows], role)


@torch.no_grad()
def project(
    projection: nn.Module, vectors: np.ndarray, rows: np.ndarray, device: torch.device
) -> np.ndarray:
    """The projections of rows `(n,)` of base vectors `(m, d)`, a block at a time."""

    def read(some: np.ndarray) -> np.ndarray:
        return projection(torch.from_numpy(vectors[some]).to(device)).float().cpu().numpy()

    # Filled block by block: to put blocks together would take the memory twice.
    projected = np.empty((len(rows), read(rows[:0]).shape[1]), dtype=np.float32)
    for start in range(0, len(rows), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        projected[part] = read(rows[part])
    return projected
