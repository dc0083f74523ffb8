"""Exact k nearest neighbours: candidates by faiss, re-ranked by distances in double precision."""

from collections.abc import Iterator
from math import prod
from typing import Literal

import faiss
import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import cdist
from tqdm import tqdm

from embedlab.errors import InputError
from embedlab.files import disk_array
from embedlab.search.exact import stable_top_k

Metric = Literal["euclidean", "cosine"]

# Numbers held at a time: 64 MiB in double precision. Larger copies of vectors are temporary files.
BLOCK_SIZE = 2**23

# Candidates beyond the k wanted, so that float32 rounding seldom leaves the k-th in doubt.
SPARE = 8


def nearest_neighbours(
    vectors: np.ndarray, k: int, metric: Metric = "euclidean"
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest other rows of each row; ties are ordered by row number.

    A row is not its own neighbour, but an exact duplicate of it is one, at distance 0.

    The metric is the Euclidean distance, or 1 - cosine. The vectors `(n, d)` are copied to
    temporary files of up to three times their size in float32; in memory are the results and a few
    blocks of 64 MiB.

    Returns:
        Distances, float32, and row numbers, int64, both `(n, k)`, in ascending order of distance.

    Raises:
        InputError: if k is not from 1 to n - 1, a vector is not finite, or the metric is cosine
            and a vector is zero.

    Example:
        >>> distances, rows = nearest_neighbours(np.array([[0.0], [3.0], [4.0]]), k=1)
        >>> distances.ravel().tolist(), rows.ravel().tolist()
        ([3.0, 1.0, 1.0], [1, 2, 1])
    """
    check_count(k, len(vectors) - 1)
    points = _copy_vectors(vectors, metric)
    distances, rows = _find(points, points, k + 1)
    nearest, others = without_self(distances, rows, np.arange(len(points)))
    return to_metric(nearest, metric), others


def neighbours_of(
    queries: np.ndarray, vectors: np.ndarray, k: int, metric: Metric = "euclidean"
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k rows of vectors `(n, d)` nearest to each query `(q, d)`; ties go by row number.

    Returns:
        As `nearest_neighbours`: distances and row numbers, both `(q, k)`.

    Raises:
        InputError: if k is not from 1 to n, the dimensions differ, a vector is not finite, or the
            metric is cosine and a vector is zero.
    """
    check_count(k, len(vectors))
    if queries.shape[1] != vectors.shape[1]:
        raise InputError(
            f"queries have {queries.shape[1]} dimensions and vectors {vectors.shape[1]}: "
            "embed both with the same encoder"
        )
    points = _copy_vectors(vectors, metric)
    distances, rows = _find(read_vectors(queries, metric, "queries"), points, k)
    return to_metric(distances, metric), rows


def check_count(k: int, num_others: int) -> None:
    """Raise an InputError if k is not from 1 to `num_others`."""
    if k < 1:
        raise InputError(f"k must be at least 1 (got {k})")
    if k > num_others:
        raise InputError(
            f"k is {k}, but there are only {max(num_others, 0)} vectors to find neighbours among: "
            "lower k, or embed more texts"
        )


def read_vectors(
    array: np.ndarray, metric: Metric, name: str = "vectors", start: int = 0
) -> np.ndarray:
    """Read vectors `(n, d)` into memory as float32, L2-normalised if the metric is cosine.

    The first is row `start` in messages.

    Raises:
        InputError: names the first row that is not finite or, if the metric is cosine, zero.
    """
    vectors = np.array(array, dtype=np.float32, order="C")
    vectors += 0.0  # -0 becomes 0, so that equal vectors have equal bytes
    lengths = torch.linalg.vector_norm(torch.from_numpy(vectors), dim=1).numpy()
    if not np.isfinite(lengths).all():
        row = start + int(np.isfinite(lengths).argmin())
        raise InputError(f"row {row} of the {name} is not finite: embed its text again")
    if metric == "cosine":
        if not lengths.all():
            row = start + int(lengths.argmin())
            raise InputError(
                f"row {row} of the {name} is zero and has no cosine: use the euclidean metric"
            )
        vectors /= lengths[:, None]
    return vectors


def to_metric(distances: np.ndarray, metric: Metric) -> np.ndarray:
    r"""Convert Euclidean distances: $1 - \cos(x, y) = |x - y|^2 / 2$ for unit vectors."""
    return distances**2 / 2 if metric == "cosine" else distances


def without_self(
    distances: np.ndarray, rows: np.ndarray, numbers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Drop the row itself from the k + 1 neighbours of each of m rows, or the last if it is absent.

    Shape:
        - distances, rows: `(m, k + 1)`
        - numbers of the m rows: `(m,)`
        - output: distances and rows, both `(m, k)`
    """
    kept = rows != numbers[:, None]
    kept[kept.all(axis=1), -1] = False
    shape = len(rows), rows.shape[1] - 1
    return distances[kept].reshape(shape), rows[kept].reshape(shape)


def row_blocks(num_rows: int, size: int, description: str) -> Iterator[slice]:
    """Split rows into blocks of `size` rows, with a progress bar."""
    for start in tqdm(range(0, num_rows, size), desc=description, delay=2, leave=False):
        yield slice(start, min(start + size, num_rows))


def rows_held(width: int) -> int:
    """The number of rows of `width` numbers to hold at a time."""
    return max(1, BLOCK_SIZE // width)


def find_nearest(queries: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the k of distinct float32 vectors `(n, d)` nearest to each query `(q, d)`.

    Vectors may be equal, but if more than k are, it takes long.

    Returns:
        Euclidean distances, float32, and row numbers, int64, both `(q, k)`, in ascending order of
        distance, ties by row.
    """
    centre = vectors.mean(axis=0)  # an offset that all share would cost digits of the products
    centred = np.subtract(vectors, centre, out=_scratch(*vectors.shape))
    count = min(k + SPARE, len(vectors))
    distances = np.empty((len(queries), k), dtype=np.float32)
    found = np.empty((len(queries), k), dtype=np.int64)
    limits = np.empty(len(queries))
    farthest = np.empty(len(queries))  # of the candidates, squared
    size = rows_held(count * vectors.shape[1])
    for block in row_blocks(len(queries), size, "nearest neighbours"):
        points = queries[block] - centre
        squares, candidates = faiss.knn(points, centred, count)
        candidates.sort(axis=1)  # so that ties are ordered by row
        distances[block], found[block] = _rank(queries[block], vectors, candidates, k)
        limits[block] = _limits(points, distances[block, -1])
        farthest[block] = squares[:, -1] if count < len(vectors) else np.inf
    # Near-duplicates that float32 products cannot tell apart, or ties.
    doubtful = np.flatnonzero(farthest <= limits)
    for part in row_blocks(len(doubtful), rows_held(len(vectors)), "near-duplicates"):
        rows = doubtful[part]
        squares = faiss.pairwise_distances(queries[rows] - centre, centred)
        near = np.flatnonzero((squares <= limits[rows, None]).any(axis=0))
        distances[rows], columns = _least(_all_distances(queries[rows], vectors, near), k)
        found[rows] = near[columns]
    return distances, found


def rank_candidates(
    queries: np.ndarray, vectors: np.ndarray, candidates: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest k of some rows of vectors `(n, d)`, `(q, c)`, to each query `(q, d)`.

    Returns:
        As `find_nearest`.
    """
    distances = np.empty((len(queries), k), dtype=np.float32)
    found = np.empty((len(queries), k), dtype=np.int64)
    size = rows_held(candidates.shape[1] * vectors.shape[1])
    for start in range(0, len(queries), size):
        block = slice(start, start + size)
        rows = np.sort(candidates[block], axis=1)
        distances[block], found[block] = _rank(queries[block], vectors, rows, k)
    return distances, found


def first_copies(vectors: np.ndarray, k: int, metric: Metric = "euclidean") -> np.ndarray:
    """Find the rows of the first k of equal vectors: no others can be among the k nearest.

    More of them would fill all the places of the candidates.

    Raises:
        InputError: as `read_vectors`.
    """
    hashes = np.empty(len(vectors), dtype=np.int64)
    for block in row_blocks(len(vectors), rows_held(vectors.shape[1]), "comparing vectors"):
        read = read_vectors(vectors[block], metric, start=block.start)
        hashes[block] = np.fromiter(map(hash, map(bytes, read)), np.int64, len(read))
    copies = pd.Series(hashes)
    return np.flatnonzero(copies.groupby(copies, sort=False).cumcount() < k)


def _rank(
    queries: np.ndarray, vectors: np.ndarray, candidates: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """As `rank_candidates`, which are in ascending order, without blocks."""
    exact = _distances(queries[:, None], vectors[candidates])
    distances, columns = _least(exact, k)
    return distances, np.take_along_axis(candidates, columns, axis=1)


def _find(queries: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """As `find_nearest`, but any number of the vectors may be equal."""
    rows = first_copies(vectors, k)
    distinct = vectors
    if len(rows) < len(vectors):
        distinct = _scratch(len(rows), vectors.shape[1])
        for block in row_blocks(len(rows), rows_held(vectors.shape[1]), "copying vectors"):
            distinct[block] = vectors[rows[block]]
    distances, found = find_nearest(queries, distinct, k)
    return distances, rows[found]


def _copy_vectors(vectors: np.ndarray, metric: Metric) -> np.ndarray:
    """All vectors, read a block at a time as `read_vectors` reads them."""
    copy = _scratch(*vectors.shape)
    for block in row_blocks(len(vectors), rows_held(vectors.shape[1]), "reading vectors"):
        copy[block] = read_vectors(vectors[block], metric, start=block.start)
    return copy


def _scratch(*shape: int) -> np.ndarray:
    """A float32 array to be filled."""
    return (
        np.empty(shape, np.float32) if prod(shape) <= BLOCK_SIZE else disk_array(shape, np.float32)
    )


def _all_distances(queries: np.ndarray, vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Distances of queries `(q, d)` to some rows of the vectors, in double precision."""
    step = rows_held(vectors.shape[1])
    starts = range(0, len(rows), step)
    parts = [cdist(queries, vectors[rows[start : start + step]]) for start in starts]
    return np.concatenate(parts, axis=1)


def _least(distances: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k least of each row as float32, and their columns; ties are ordered by column."""
    best = stable_top_k(-torch.from_numpy(distances).float(), k)
    return -best.scores.numpy(), best.columns.numpy()


def _limits(points: np.ndarray, radii: np.ndarray) -> np.ndarray:
    r"""Upper bounds `(q,)` on the squared distances, computed in float32, within radii of points.

    A product of d terms with unit roundoff u is off by at most $d u |x| |y|$. With the rounding of
    norms, centring, sums and radii, $|x|^2 + |y|^2 - 2 x y$ is off by less than
    $2 (d + 8) u (|x|^2 + |y|^2)$, where $|y| \le |x| + r$ for a vector within radius r.

    References:
        Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1.
    """
    epsilon = np.finfo(np.float32).eps  # 2 u
    lengths = np.linalg.norm(points.astype(np.float64), axis=1)
    reach = radii.astype(np.float64) * (1 + epsilon)
    slack = (points.shape[1] + 8) * epsilon * (lengths**2 + (lengths + reach) ** 2)
    limits: np.ndarray = reach**2 + slack
    return limits


def _distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distances along the last axis, computed in double precision."""
    differences = np.subtract(others, points, dtype=np.float64)
    distances: np.ndarray = np.sqrt(np.einsum("...d,...d->...", differences, differences))
    return distances
