"""Exact k nearest neighbours: filtered by matrix products, ranked by the distances themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from tqdm import tqdm

from embedlab.errors import InputError
from embedlab.search.duplicates import Copies
from embedlab.search.exact import stable_top_k

Metric = Literal["euclidean", "cosine"]

# Bounds held at a time: 64 MiB.
BLOCK_SIZE = 2**24

# Candidates beyond those wanted, so that the last one wanted is seldom in doubt.
SPARE = 8

# Candidates of the second attempt over those of the first.
GROWTH = 8

# Values of which the lowest is found before any is ranked.
GROUP = 32

# Differences keep the digits that products lose where vectors are near each other.
BY_DIFFERENCES = "donot_use_mm_for_euclid_dist"


def nearest_neighbours(
    vectors: np.ndarray, k: int, metric: Metric = "euclidean"
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest other rows of each row, equally near ones by row number.

    A row is not its own neighbour; an exact duplicate of it is one, at distance 0.

    Args:
        vectors: `(n, d)`, read into memory; twice their size in float32 is held, and a few blocks
            of 64 MiB, never `(n, n)`.
        k: neighbours of each row.
        metric: Euclidean distance, or 1 - cosine.

    Returns:
        Distances, float32, and row numbers, int64, both `(n, k)`, the nearest first.

    Raises:
        InputError: if k is not from 1 to n - 1, a vector is not finite, or, for cosines, is null.
    """
    check_count(k, len(vectors) - 1)
    points = read_vectors(vectors, metric)
    copies = Copies.among(points)
    points = copies.distinct(points)
    found = _find(points, points, k + 1)
    distances, rows = copies.nearest_rows(*found, k + 1)
    own = copies.vectors  # rows of one vector have the same neighbours, themselves included
    nearest, others = without_self(distances[own], rows[own], np.arange(len(own)))
    return to_metric(nearest, metric), others


def neighbours_of(
    queries: np.ndarray, vectors: np.ndarray, k: int, metric: Metric = "euclidean"
) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of `vectors` nearest to each query, equally near ones by row number.

    Args:
        queries: `(q, d)`.
        vectors: `(n, d)`.
        k: neighbours of each query.
        metric: Euclidean distance, or 1 - cosine.

    Returns:
        Distances, float32, and rows of `vectors`, int64, both `(q, k)`, the nearest first.

    Raises:
        InputError: if k is not from 1 to n, the dimensions differ, a vector is not finite, or, for
            cosines, is null.
    """
    check_count(k, len(vectors))
    if queries.shape[1] != vectors.shape[1]:
        raise InputError(
            f"queries have {queries.shape[1]} dimensions and vectors {vectors.shape[1]}: "
            "embed both with the same encoder"
        )
    points = read_vectors(vectors, metric)
    copies = Copies.among(points)
    points = copies.distinct(points)
    found = _find(read_vectors(queries, metric, "queries"), points, k)
    distances, rows = copies.nearest_rows(*found, k)
    return to_metric(distances, metric), rows


def check_count(k: int, n_others: int) -> None:
    """Refuse to look for k neighbours where there are not so many.

    Raises:
        InputError: if k is not from 1 to `n_others`.
    """
    if k < 1:
        raise InputError(f"k must be at least 1 (got {k})")
    if k > n_others:
        raise InputError(
            f"k is {k}, but there are only {max(n_others, 0)} vectors to find neighbours among: "
            "lower k, or embed more texts"
        )


def read_vectors(array: np.ndarray, metric: Metric, name: str = "vectors") -> Tensor:
    """Read vectors `(n, d)` into memory as float32, of length 1 if cosines are wanted.

    Raises:
        InputError: naming the first row that is not finite or, for cosines, is null.
    """
    vectors = torch.from_numpy(np.array(array, dtype=np.float32))
    lengths = torch.linalg.vector_norm(vectors, dim=1)
    if not lengths.isfinite().all():
        row = int(lengths.isfinite().int().argmin())
        raise InputError(f"row {row} of the {name} is not finite: embed its text again")
    if metric == "cosine":
        if not lengths.all():
            row = int(lengths.argmin())
            raise InputError(
                f"row {row} of the {name} is null and has no cosines: use the euclidean metric"
            )
        vectors /= lengths[:, None]
    return vectors


def to_metric(distances: np.ndarray, metric: Metric) -> np.ndarray:
    r"""Euclidean distances in the metric: of unit vectors, $1 - \cos(x, y) = |x - y|^2 / 2$."""
    return distances**2 / 2 if metric == "cosine" else distances


def without_self(
    distances: np.ndarray, rows: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Leave each row's own number out of its k + 1 neighbours, or the last where it is not there.

    Args:
        distances: `(m, k + 1)`.
        rows: `(m, k + 1)`.
        own: `(m,)`, the numbers of the rows whose neighbours these are.

    Returns:
        Distances and rows, both `(m, k)`.
    """
    kept = rows != own[:, None]
    kept[kept.all(axis=1), -1] = False
    shape = len(rows), rows.shape[1] - 1
    return distances[kept].reshape(shape), rows[kept].reshape(shape)


def _find(queries: Tensor, vectors: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Euclidean distances and numbers `(q, min(k, n))` of the nearest vectors, ties by number."""
    search = _Search.among(queries, vectors, min(k, len(vectors)))
    pending = torch.arange(len(queries))
    for count in (k + SPARE, GROWTH * (k + SPARE)):
        pending = search.attempt(pending, min(count, len(vectors)))
    search.settle(pending)
    return search.distances, search.found


@dataclass(frozen=True)
class _Search:
    """Filter by lower bounds on squared distances, then refine: compute the distances themselves.

    Attributes:
        queries: `(q, d)`.
        vectors: `(n, d)`.
        centre: the mean vector `(d,)`. Products lose the digits that an offset takes up; distances
            do not depend on one.
        centred: vectors less the mean, padded to whole groups.
        norms: their shrunken norms, infinite where there is no vector.
        distances: to the nearest so far, `(q, k)`, the nearest first.
        found: the numbers of these, `(q, k)`.

    References:
        Seidl & Kriegel 1998, Optimal Multi-Step k-Nearest Neighbor Search.
    """

    queries: Tensor
    vectors: Tensor
    centre: Tensor
    centred: Tensor
    norms: Tensor
    distances: Tensor
    found: Tensor

    @classmethod
    def among(cls, queries: Tensor, vectors: Tensor, k: int) -> Self:
        """Prepare to search for the nearest k of the vectors."""
        n_vectors, padding = len(vectors), -len(vectors) % GROUP
        centre, centred = vectors.mean(dim=0), torch.zeros(n_vectors + padding, vectors.shape[1])
        torch.sub(vectors, centre, out=centred[:n_vectors])
        norms = pad(_shrunken_norms(centred[:n_vectors]), (0, padding), value=torch.inf)
        distances = torch.empty(len(queries), k)
        found = torch.empty(len(queries), k, dtype=torch.int64)
        return cls(queries, vectors, centre, centred, norms, distances, found)

    def attempt(self, pending: Tensor, count: int) -> Tensor:
        """Refine the vectors of the lowest bounds, and return the queries still in doubt.

        No other vector is nearer than the greatest of these bounds: if k of those refined are, they
        are the answer.
        """
        doubtful = [pending[:0]]
        for block, bounds in self._filter(pending, BLOCK_SIZE // (count * len(self.centre))):
            lowest, candidates = _lowest(bounds, count)
            candidates = candidates.sort(dim=1).values
            points = self.queries[block][:, None]
            distances = torch.cdist(points, self.vectors[candidates], compute_mode=BY_DIFFERENCES)
            self._keep(block, distances.squeeze(1), candidates)
            doubtful.append(block[lowest[:, -1] <= self._limits(block)])
        return torch.cat(doubtful) if count < len(self.vectors) else pending[:0]

    def settle(self, pending: Tensor) -> None:
        """Search among all vectors that may be as near as those found, near-duplicates mostly.

        A block is of queries that follow one another along a line, as near-duplicates do: it has
        few such vectors, and a search among these alone, centred on them, tells them apart. Where
        it has many, their distances are computed.
        """
        order = (self.queries @ self.centre)[pending].argsort()
        for block, bounds in self._filter(pending[order], len(self.vectors) // GROWTH):
            possible = (bounds <= self._limits(block)[:, None]).any(dim=0)
            possible[self.found[block]] = True
            nearby, points = possible[: len(self.vectors)].nonzero()[:, 0], self.queries[block]
            if len(nearby) * len(self.centre) <= min(BLOCK_SIZE, self.vectors.numel() // 2):
                distances, places = _find(points, self.vectors[nearby], self.found.shape[1])
                self.distances[block], self.found[block] = distances, nearby[places]
            else:
                self._keep(block, self._differ(points, nearby), nearby.expand(len(block), -1))

    def _filter(self, pending: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Blocks of at most `size` queries, and their bounds less their norms, `(b, n)`.

        Bounds are overwritten by the next: new memory for each block would cost time.
        """
        size = max(1, min(size, BLOCK_SIZE // len(self.centred)))
        space = torch.empty(min(size, len(pending)), len(self.centred))
        starts = range(0, len(pending), size)
        for start in tqdm(starts, desc="nearest neighbours", unit="block", delay=2, leave=False):
            block = pending[start : start + size]
            points, out = self.queries[block] - self.centre, space[: len(block)]
            yield block, torch.addmm(self.norms, points, self.centred.T, alpha=-2, out=out)

    def _limits(self, block: Tensor) -> Tensor:
        """The squared distances `(b,)` of the k-th found, less the norms of the queries."""
        norms = _shrunken_norms(self.queries[block] - self.centre)
        return self.distances[block, -1].square() - norms

    def _differ(self, points: Tensor, numbers: Tensor) -> Tensor:
        """Distances `(b, c)` of points to vectors, of which a block at a time is read."""
        parts = (
            self.vectors[part] for part in numbers.split(max(1, BLOCK_SIZE // len(self.centre)))
        )
        distances = [torch.cdist(points, part, compute_mode=BY_DIFFERENCES) for part in parts]
        return torch.cat(distances, dim=1)

    def _keep(self, block: Tensor, distances: Tensor, numbers: Tensor) -> None:
        """Keep the nearest of the vectors of these numbers `(b, c)`, ties in their order."""
        nearness, columns = stable_top_k(-distances, self.found.shape[1])
        self.distances[block], self.found[block] = -nearness, numbers.gather(1, columns)


def _shrunken_norms(vectors: Tensor) -> Tensor:
    r"""Squared norms `(n,)`, less what rounding may have added to a squared distance.

    A float32 product of d terms is off by at most $d u |x| |y|$, with $u = 2^{-24}$. With the
    rounding of the norms, of the centring and of the sums, $|x|^2 + |y|^2 - 2 x y$ is off by less
    than $2 (d + 8) u (|x|^2 + |y|^2)$. Norms that are shorter by this give lower bounds.

    References:
        Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1.
    """
    slack = (vectors.shape[1] + 8) * torch.finfo(torch.float32).eps  # eps is 2 u
    return (1 - slack) * torch.linalg.vector_norm(vectors, dim=1).square()


def _lowest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """As `values.topk(count, largest=False)`, but only groups of low minima are searched.

    Group g has the columns g, g + m, g + 2 m, …: no group left out can hold a lower value than
    each of `count` others does.
    """
    groups = values.unflatten(1, (GROUP, -1))
    n_searched = min(count, groups.shape[2])
    searched = groups.amin(dim=1).topk(n_searched, largest=False, sorted=False).indices
    members = groups.gather(2, searched[:, None].expand(-1, GROUP, -1)).flatten(1)
    lowest, places = members.topk(count, largest=False)
    columns = places // n_searched * groups.shape[2] + searched.gather(1, places % n_searched)
    return lowest, columns
