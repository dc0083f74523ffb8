"""Queries and documents as a model reads them: vectors from the cache, or texts."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from embedlab.encoders.embeddings import VectorStream, blocks_of
from embedlab.encoders.parameters import Role

if TYPE_CHECKING:
    from embedlab.isotropic.trainable_encoder import TrainableEncoder

CPU = torch.device("cpu")


class CachedInputs:
    """Base vectors `(n, d)` and `(m, d)` from the cache, by row: a model only projects them.

    Of memory maps, only the rows in use are read.
    """

    def __init__(self, queries: np.ndarray, documents: np.ndarray, device: torch.device):
        self.vectors: dict[Role, np.ndarray] = {"query": queries, "document": documents}
        self.device = device

    def batch(self, queries: np.ndarray, documents: np.ndarray) -> tuple[Tensor]:
        """The base vectors of query rows `(b,)`, then document rows `(m,)`: `(b + m, d)`."""
        vectors = [self.vectors["query"][queries], self.vectors["document"][documents]]
        return (torch.from_numpy(np.concatenate(vectors)).to(self.device),)

    def encode(self, model: nn.Module, role: Role, rows: np.ndarray) -> np.ndarray:
        """The vectors of rows `(n,)`, projected by `model`, float32 `(n, output_dim)`."""
        return project(model, self.vectors[role][rows], self.device)


class OnlineInputs:
    """Texts by row, for a model that encodes them in every step."""

    def __init__(self, queries: list[str], documents: list[str], encoder: "TrainableEncoder"):
        self.texts: dict[Role, list[str]] = {"query": queries, "document": documents}
        self.encoder = encoder

    def batch(self, queries: np.ndarray, documents: np.ndarray) -> tuple[Any, Any]:
        """The tokens of query rows `(b,)`, and those of document rows `(m,)`."""
        return (
            self.encoder.tokenize(self._read("query", queries), "query"),
            self.encoder.tokenize(self._read("document", documents), "document"),
        )

    def encode(self, model: nn.Module, role: Role, rows: np.ndarray) -> np.ndarray:
        """The vectors of rows `(n,)`, encoded by the model, float32 `(n, output_dim)`."""
        return self.encoder.encode(self._read(role, rows), role)

    def _read(self, role: Role, rows: np.ndarray) -> list[str]:
        return [self.texts[role][row] for row in rows]


RetrievalInputs = CachedInputs | OnlineInputs


def project(projection: nn.Module, vectors: np.ndarray, device: torch.device = CPU) -> np.ndarray:
    """Project base vectors `(n, d)`: float32 `(n, output_dim)`."""
    return projected(projection, vectors, device).read()


def projected(
    projection: nn.Module, vectors: np.ndarray, device: torch.device = CPU
) -> VectorStream:
    """Base vectors `(n, d)`, projected block by block to `(n, output_dim)` when they are read."""

    @torch.no_grad()
    def project_block(block: np.ndarray) -> np.ndarray:
        outputs: Tensor = projection(torch.from_numpy(np.array(block)).to(device))
        return outputs.float().cpu().numpy()

    shape = len(vectors), project_block(vectors[:0]).shape[1]
    return VectorStream(shape, lambda: map(project_block, blocks_of(vectors)))
