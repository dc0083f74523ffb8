"""Vectors on the disk in the order of the cells into which k-means divides them."""

from dataclasses import dataclass

import faiss
import numpy as np

from embedlab.files import disk_array
from embedlab.search.neighbours import (
    Metric,
    find_nearest,
    first_copies,
    read_vectors,
    row_blocks,
    rows_held,
)

# Training vectors for each cell: the number below which faiss warns, and the number used if there
# are as many.
LEAST_PER_CELL = 39
PER_CELL = 48
CELLS = 4
NITER = 10


@dataclass(frozen=True)
class Cells:
    """Vectors in the order of their cells.

    Attributes:
        points: float32 `(n, d)`, in a temporary file.
        rows: the row of each point among the original vectors, `(n,)`.
        starts: the first point of each of c cells, and n, `(c + 1,)`.
        sizes: the number of points of each cell that can be found, its first ones, `(c,)`. The
            others are copies, of which enough can be found.
        centres: float32 `(c, d)`.
    """

    points: np.ndarray
    rows: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    centres: np.ndarray

    def order(self, cell: int) -> np.ndarray:
        """All cells `(c,)`, by the distance of their centres from that of one."""
        squares = np.square(self.centres - self.centres[cell]).sum(axis=1)
        squares[cell] = -1
        return np.argsort(squares, kind="stable")

    def cell_of(self, points: np.ndarray) -> np.ndarray:
        """The cells of points, of the same shape."""
        cells: np.ndarray = np.searchsorted(self.starts, points, side="right") - 1
        return cells

    def parts(self, cell: int) -> list[np.ndarray]:
        """The points of a cell, in blocks."""
        points = np.arange(*self.starts[cell : cell + 2])
        size = rows_held(self.points)
        return np.split(points, range(size, len(points), size))

    def contents(self, cells: np.ndarray) -> np.ndarray:
        """The points of some cells that can be found, `(m,)`."""
        sizes = self.sizes[cells]
        first = self.starts[cells] - (sizes.cumsum() - sizes)
        contents: np.ndarray = np.arange(sizes.sum()) + np.repeat(first, sizes)
        return contents

    def around(self, cell: int, num_cells: int, num_points: int) -> np.ndarray:
        """The points of the cells nearest to one that can be found, `(m,)`.

        So many cells are taken, or more if they have fewer points than are wanted.
        """
        order = self.order(cell)
        enough = 1 + int(np.searchsorted(self.sizes[order].cumsum(), num_points))
        return self.contents(order[: max(num_cells, enough)])

    def nearest(
        self, points: np.ndarray, candidates: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the k of some candidates `(c,)` that are nearest to each of some points `(m,)`.

        Returns:
            Euclidean distances, float32, and numbers of candidates, int64, both `(m, k)`, in
            ascending order of distance.
        """
        queries = self.points[points]
        distances = np.full((len(points), k), np.inf, np.float32)
        found = np.full((len(points), k), -1)
        for block in row_blocks(len(candidates), rows_held(self.points), "nearest neighbours"):
            part = candidates[block]
            near, columns = find_nearest(queries, self.points[part], min(k, len(part)))
            near, others = np.hstack([distances, near]), np.hstack([found, part[columns]])
            kept = np.argsort(near, axis=1, kind="stable")[:, :k]
            distances = np.take_along_axis(near, kept, axis=1)
            found = np.take_along_axis(others, kept, axis=1)
        return distances, found


def divide(vectors: np.ndarray, max_copies: int, metric: Metric, seed: int) -> Cells:
    """Divide vectors `(n, d)` into about sqrt(n) cells by k-means.

    Of equal vectors, `max_copies` can be found.

    Raises:
        InputError: if a vector is not finite, or the metric is cosine and a vector is zero.
    """
    rows = first_copies(vectors, max_copies, metric)
    centres = _train_centres(vectors, rows, metric, seed)
    keys = 2 * _nearest_centres(vectors, centres, metric) + 1
    keys[rows] -= 1  # so that in each cell the copies that are not to be found come last
    order = np.argsort(keys, kind="stable")
    counts = np.bincount(keys, minlength=2 * len(centres)).reshape(-1, 2)
    starts = np.concatenate([[0], counts.sum(axis=1).cumsum()])
    return Cells(_copy_rows(vectors, order, metric), order, starts, counts[:, 0], centres)


def _train_centres(vectors: np.ndarray, rows: np.ndarray, metric: Metric, seed: int) -> np.ndarray:
    """Centres `(c, d)` of the cells of some rows, from a sample of these."""
    num_cells = max(1, min(int(CELLS * len(rows) ** 0.5), len(rows) // LEAST_PER_CELL))
    size = min(len(rows), PER_CELL * num_cells)
    sample = np.sort(np.random.default_rng(seed).choice(rows, size, replace=False))
    means = faiss.Kmeans(vectors.shape[1], num_cells, niter=NITER, seed=seed)
    means.train(_copy_rows(vectors, sample, metric))
    return np.asarray(means.centroids)


def _nearest_centres(vectors: np.ndarray, centres: np.ndarray, metric: Metric) -> np.ndarray:
    """The nearest of centres `(c, d)` to each vector, int32 `(n,)`."""
    nearest = np.empty(len(vectors), np.int32)
    for block in row_blocks(len(vectors), rows_held(vectors), "dividing vectors"):
        _, found = faiss.knn(read_vectors(vectors[block], metric), centres, 1)
        nearest[block] = found[:, 0]
    return nearest


def _copy_rows(vectors: np.ndarray, rows: np.ndarray, metric: Metric) -> np.ndarray:
    """Some rows of vectors, read a block at a time into a temporary file."""
    copy = disk_array((len(rows), vectors.shape[1]), np.float32)
    for block in row_blocks(len(rows), rows_held(vectors), "copying vectors"):
        copy[block] = read_vectors(vectors[rows[block]], metric)
    return copy
