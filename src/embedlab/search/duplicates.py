"""Rows that hold the same vector: each distinct vector once, and the rows that hold it."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

# Values compared at a time: 32 MiB of float32.
BLOCK_SIZE = 2**23


@dataclass(frozen=True)
class Copies:
    """Which of n rows hold which of u distinct vectors, numbered in the order of the rows.

    Attributes:
        vectors: `(n,)`, the number of the vector of each row.
        rows: `(n,)`, the rows of vector 0, then those of vector 1, …, each in ascending order.
        counts: `(u,)`, how many rows hold each vector.
    """

    vectors: np.ndarray
    rows: np.ndarray
    counts: np.ndarray

    @classmethod
    def among(cls, vectors: Tensor) -> Self:
        """Find the rows of `vectors` (n, d) that are the same, byte for byte.

        Only row numbers are sorted, so that nothing of the size of the vectors is held.
        """
        width = vectors.shape[1] * vectors.element_size()
        values = vectors.numpy().view(f"V{width}")[:, 0]
        order = values.argsort(kind="stable")
        is_first = ~_repeats(vectors, torch.from_numpy(order)).numpy()
        first_rows = np.empty(len(order), dtype=np.int64)
        first_rows[order] = order[is_first][is_first.cumsum() - 1]
        _, numbers, counts = np.unique(first_rows, return_inverse=True, return_counts=True)
        return cls(numbers, numbers.argsort(kind="stable"), counts)

    def distinct(self, vectors: Tensor) -> Tensor:
        """The distinct ones `(u, d)` of the vectors `(n, d)`: these themselves if all are."""
        if len(self.counts) == len(vectors):
            return vectors
        return vectors[self.rows[self._starts()]]

    def nearest_rows(self, nearest: Tensor, found: Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest rows by the nearest distinct vectors, equally near ones by row number.

        A row among the k nearest is of one of the k nearest vectors, because each of the vectors
        before its own has a row before it.

        Args:
            nearest: distances `(q, c)` of the nearest vectors, c being k, or u if that is less.
            found: `(q, c)`, their numbers, the nearest first, equally near ones in order.
            k: rows wanted, from 1 to n.

        Returns:
            Distances and row numbers, both `(q, k)`.
        """
        distances, numbers = nearest.numpy(), found.numpy()
        if len(self.counts) == len(self.rows):
            return distances, numbers
        counts = self.counts[numbers]
        taken = np.clip(k - _count_nearer(distances, counts), 0, counts)
        flat, totals = taken.ravel(), taken.sum(axis=1)
        shifts = self._starts()[numbers].ravel() - (flat.cumsum() - flat)
        rows = self.rows[np.repeat(shifts, flat) + np.arange(flat.sum())]
        spread = np.repeat(distances.ravel(), flat)
        order = np.lexsort((rows, spread, np.repeat(np.arange(len(found)), totals)))
        kept = order[(totals.cumsum() - totals)[:, None] + np.arange(k)]
        return spread[kept], rows[kept]

    def _starts(self) -> np.ndarray:
        """Where the rows of each vector begin, `(u,)`."""
        return self.counts.cumsum() - self.counts


def _repeats(vectors: Tensor, order: Tensor) -> Tensor:
    """Whether each vector has the bytes of the one before it in the order, `(n,)`."""
    size = max(1, BLOCK_SIZE // vectors.shape[1])
    bits = vectors.view(torch.int32)
    pairs = zip(order[:-1].split(size), order[1:].split(size), strict=True)
    same = [(bits[before] == bits[after]).all(dim=1) for before, after in pairs]
    return torch.cat([torch.zeros(1, dtype=torch.bool), *same])


def _count_nearer(distances: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """How many rows are nearer than the rows of each vector found; all are `(q, c)`."""
    before = counts.cumsum(axis=1) - counts
    before[:, 1:][distances[:, 1:] == distances[:, :-1]] = 0
    return np.maximum.accumulate(before, axis=1)
