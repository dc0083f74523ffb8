"""Exact k nearest neighbours: filtered by matrix products, ranked by the distances themselves."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from tqdm import tqdm

from embedlab.errors import InputError
from embedlab.metrics.search import stable_top_k

Metric = Literal["euclidean", "cosine"]

# Bounds held at a time: 64 MiB.
BLOCK_SIZE = 2**24

# Candidates beyond those wanted, so that the last one wanted is seldom in doubt.
SPARE = 8

# Candidates of the next attempt over those of the last.
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
    distances, rows = _find(points, points, k + 1, metric)
    return without_self(distances, rows, np.arange(len(vectors)))


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
    return _find(read_vectors(queries, metric, "queries"), points, k, metric)


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


def _find(
    queries: Tensor, vectors: Tensor, k: int, metric: Metric
) -> tuple[np.ndarray, np.ndarray]:
    """Filter, then refine, a block of queries at a time.

    The rows of the lowest bounds are candidates, whose distances are computed. No other row is
    nearer than the greatest of these bounds: if k candidates are, they are the answer. Queries for
    which they are not, as among many near-duplicates, are tried again with more candidates.

    References:
        Seidl & Kriegel 1998, Optimal Multi-Step k-Nearest Neighbor Search.
    """
    # Products lose the digits that an offset takes up; distances do not depend on one.
    centre = vectors.mean(dim=0)
    centred, padding = vectors - centre, -len(vectors) % GROUP
    norms = pad(_shrunken_norms(centred), (0, padding), value=torch.inf)
    centred = pad(centred, (0, 0, 0, padding))
    distances, rows = torch.empty(len(queries), k), torch.empty(len(queries), k, dtype=torch.int64)
    pending, count = torch.arange(len(queries)), min(k + SPARE, len(vectors))
    while len(pending):
        blocks = pending.split(max(1, BLOCK_SIZE // max(len(vectors), count * vectors.shape[1])))
        products = torch.empty(len(blocks[0]), len(centred))
        doubtful = []
        for block in tqdm(blocks, desc="nearest neighbours", unit="block", delay=2, leave=False):
            points = queries[block]
            candidates, bounds = _filter(points - centre, centred, norms, count, products)
            distances[block], rows[block] = _refine(points, vectors, candidates, k)
            doubtful.append(block[distances[block, -1].square() >= bounds])
        pending = torch.cat(doubtful) if count < len(vectors) else pending[:0]
        count = min(GROWTH * count, len(vectors))
    return to_metric(distances.numpy(), metric), rows.numpy()


def _shrunken_norms(vectors: Tensor) -> Tensor:
    r"""Squared norms `(n,)`, less what rounding may have added to a squared distance.

    A float32 product of d terms is off by at most $d u |x| |y|$, with $u = 2^{-24}$. With the
    rounding of the norms, of the centring and of the sums, $|x|^2 + |y|^2 - 2 x y$ is off by less
    than $2 (d + 8) u (|x|^2 + |y|^2)$. Norms that are shorter by this give lower bounds.

    References:
        Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1.
    """
    slack = (vectors.shape[1] + 8) * torch.finfo(torch.float32).eps  # eps is 2 u
    return (1 - slack) * vectors.square().sum(dim=1)


def _filter(
    block: Tensor, centred: Tensor, norms: Tensor, count: int, products: Tensor
) -> tuple[Tensor, Tensor]:
    """The rows of the lowest bounds on the squared distance to each query.

    Args:
        block: centred queries `(b, d)`.
        centred: vectors `(n, d)`, n being a multiple of the group size.
        norms: their shrunken norms, infinite where there is none.
        count: rows wanted, c.
        products: at least `(b, n)`, to work in: new memory for each block would cost time.

    Returns:
        Row numbers `(b, c)`, in ascending order, and the greatest of their bounds, `(b,)`.
    """
    products = torch.addmm(norms, block, centred.T, alpha=-2, out=products[: len(block)])
    lowest, rows = _lowest(products, count)
    return rows.sort(dim=1).values, lowest[:, -1] + _shrunken_norms(block)


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


def _refine(block: Tensor, vectors: Tensor, candidates: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Distances and rows of the k nearest of each query's candidates, equal ones in their order."""
    points = vectors[candidates]
    distances = torch.cdist(block[:, None], points, compute_mode=BY_DIFFERENCES).squeeze(1)
    nearness, columns = stable_top_k(-distances, k)
    return -nearness, candidates.gather(1, columns)
