"""Exact k nearest neighbours: filtered by matrix products, ranked by the distances themselves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from tqdm import tqdm

from embedlab.errors import InputError
from embedlab.metrics.duplicates import Copies
from embedlab.metrics.search import stable_top_k

Metric = Literal["euclidean", "cosine"]

# Bounds held at a time: 64 MiB.
BLOCK_SIZE = 2**24

# Candidates beyond those wanted, so that the last one wanted is seldom in doubt.
SPARE = 8

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
        vectors: `(n, d)`, read into memory; twice their size in float32 is held, and blocks of
            64 MiB, never `(n, n)`.
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
    distances, rows = copies.nearest_rows(*_find(points, points, k + 1), k + 1)
    own = copies.vectors  # rows of the same vector have the same neighbours, themselves included
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


@dataclass(frozen=True)
class _Filter:
    """Lower bounds on the squared distances to n vectors, n being padded to whole groups.

    Attributes:
        centre: the mean `(d,)`. Products lose the digits that an offset takes up; distances do not
            depend on one.
        centred: vectors less the mean `(n, d)`.
        norms: their shrunken norms `(n,)`, infinite where there is no vector.
    """

    centre: Tensor
    centred: Tensor
    norms: Tensor

    @classmethod
    def of(cls, vectors: Tensor) -> Self:
        """Prepare the filter of `vectors` (n, d)."""
        centre, padding = vectors.mean(dim=0), -len(vectors) % GROUP
        centred = vectors.new_zeros(len(vectors) + padding, vectors.shape[1])
        inner = torch.sub(vectors, centre, out=centred[: len(vectors)])
        return cls(centre, centred, pad(_shrunken_norms(inner), (0, padding), value=torch.inf))

    def bounds(self, points: Tensor, space: Tensor) -> tuple[Tensor, Tensor]:
        """The bounds in two parts, to be added: `(b, n)`, and `(b, 1)` for each query.

        Args:
            points: queries `(b, d)`.
            space: at least `(b, n)`, to work in: new memory for each block would cost time.
        """
        points = points - self.centre
        products = torch.addmm(
            self.norms, points, self.centred.T, alpha=-2, out=space[: len(points)]
        )
        return products, _shrunken_norms(points)[:, None]


def _find(queries: Tensor, vectors: Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest k of all vectors, or all if there are fewer: Euclidean distances and numbers.

    The vectors of the lowest bounds are candidates, whose distances are computed. No other is
    nearer than the greatest of these bounds: if k candidates are, they are the answer. Otherwise,
    as among near-duplicates, a query is compared with all whose bounds do not exceed the k-th
    distance so far.

    References:
        Seidl & Kriegel 1998, Optimal Multi-Step k-Nearest Neighbor Search.
    """
    k, count = min(k, len(vectors)), min(k + SPARE, len(vectors))
    distances, found = torch.empty(len(queries), k), torch.empty(len(queries), k, dtype=torch.int64)
    doubtful = torch.zeros(len(queries), dtype=torch.bool)
    filtering = _Filter.of(vectors)
    size = max(1, BLOCK_SIZE // max(len(vectors), count * vectors.shape[1]))
    space = torch.empty(min(size, len(queries)), len(filtering.centred))
    for block in _progress(torch.arange(len(queries)).split(size)):
        points = queries[block]
        products, norms = filtering.bounds(points, space)
        lowest, candidates = _lowest(products, count)
        distances[block], found[block] = _refine(points, vectors, candidates.sort().values, k)
        possible = lowest[:, -1:] <= distances[block, -1:].square() - norms
        doubtful[block] = possible[:, 0] & (count < len(vectors))
    for block in _progress(doubtful.nonzero()[:, 0].split(size)):
        products, norms = filtering.bounds(queries[block], space)
        possible = products[:, : len(vectors)] <= distances[block, -1:].square() - norms
        for query, mask in zip(block.split(1), possible, strict=True):
            candidates = mask.nonzero().T
            distances[query], found[query] = _refine(queries[query], vectors, candidates, k)
    return distances.numpy(), found.numpy()


def _progress(blocks: Sequence[Tensor]) -> Iterable[Tensor]:
    """Blocks of queries, with a progress bar."""
    return tqdm(blocks, desc="nearest neighbours", unit="block", delay=2, leave=False)


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


def _refine(points: Tensor, vectors: Tensor, candidates: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Distances and numbers of the k nearest of each query's candidates, equal ones in order."""
    parts = candidates.split(max(1, BLOCK_SIZE // points.numel()), dim=1)
    distances = [
        torch.cdist(points[:, None], vectors[part], compute_mode=BY_DIFFERENCES) for part in parts
    ]
    nearness, columns = stable_top_k(-torch.cat(distances, dim=2).squeeze(1), k)
    return -nearness, candidates.gather(1, columns)
