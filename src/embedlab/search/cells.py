"""Vectors on the disk in the order of the cells into which k-means divides them."""

from dataclasses import dataclass

import faiss
import numpy as np
import torch
from torch import Tensor

from embedlab.files import disk_array
from embedlab.search.exact import Best
from embedlab.search.neighbours import (
    SPARE,
    Metric,
    find_nearest,
    first_copies,
    rank_candidates,
    read_vectors,
    row_blocks,
    rows_held,
)

# Training vectors for each cell: the number below which faiss warns, and the number used if there
# are as many.
LEAST_PER_CELL = 39
PER_CELL = 48

# Of k-means; more change the recall little.
NUM_ITERATIONS = 10


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

    def cell_of(self, points: np.ndarray) -> np.ndarray:
        """The cells of points, of the same shape."""
        cells: np.ndarray = np.searchsorted(self.starts, points, side="right") - 1
        return cells

    def squares(self, points: np.ndarray) -> np.ndarray:
        """Squared distances of some points `(m,)` from all centres, `(m, c)`."""
        squares: np.ndarray = faiss.pairwise_distances(self.points[points], self.centres)
        return squares

    def probe(self, points: np.ndarray, num_cells: int, num_found: int) -> np.ndarray:
        """Squared distances `(m, c)` of some points from the centres of the cells nearest to each.

        So many cells are taken, or more if they have fewer points than are to be found; the others
        are at infinity.
        """
        squares = self.squares(points)
        limits = np.partition(squares, num_cells - 1, axis=1)[:, num_cells - 1]
        for i in np.flatnonzero((squares <= limits[:, None]) @ self.sizes < num_found):
            order = np.argsort(squares[i], kind="stable")
            enough = np.searchsorted(self.sizes[order].cumsum(), num_found)
            limits[i] = squares[i, order[enough]]
        squares[squares > limits[:, None]] = np.inf
        return squares

    def search(self, points: np.ndarray, num_cells: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the k points nearest to each of some points `(m,)` in the cells nearest to it.

        All that probe a cell are compared with its points by one matrix product.

        Returns:
            Euclidean distances, float32, and numbers of points, int64, both `(m, k)`, in ascending
            order of distance.
        """
        count = min(k + SPARE, int(self.sizes.sum()))
        squares = self.probe(points, num_cells, count)
        queries = self.points[points]
        best = Best(
            torch.full((len(points), count), -torch.inf),
            torch.zeros((len(points), count), dtype=torch.int64),
        )
        nearest = squares.min(axis=0)
        # Each point's own cell comes early, so that few points of later ones are nearer.
        for cell in np.argsort(nearest, kind="stable")[: np.isfinite(nearest).sum()]:
            rows = np.flatnonzero(np.isfinite(squares[:, cell]))
            step = rows_held(int(self.sizes[cell]) + 1)
            for start in range(0, len(rows), step):
                self._search_cell(best, queries, rows[start : start + step], cell)
        return rank_candidates(queries, self.points, best.columns.numpy(), k)

    def _search_cell(self, best: Best, queries: np.ndarray, rows: np.ndarray, cell: int) -> None:
        """Put points of a cell that are nearer to some queries, `rows`, in place of others."""
        members = slice(self.starts[cell], self.starts[cell] + self.sizes[cell])
        # Distances lose fewer digits if the centre is near.
        points = torch.from_numpy(self.points[members] - self.centres[cell])
        compared = torch.from_numpy(queries[rows] - self.centres[cell])
        scores = torch.addmm(-_squared_norms(points), compared, points.T, alpha=2)
        scores -= _squared_norms(compared)[:, None]
        better = (scores > best.scores[rows, -1:]).any(dim=1)
        if not better.any():
            return
        changed = torch.from_numpy(rows)[better]
        count = best.scores.shape[1]
        near, columns = scores[better].topk(min(count, len(points)), dim=1)
        near = torch.cat([best.scores[changed], near], dim=1)
        others = torch.cat([best.columns[changed], columns + members.start], dim=1)
        best.scores[changed], kept = near.topk(count, dim=1)
        best.columns[changed] = others.gather(1, kept)

    def compare(self, points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the k nearest of all points to each of some points `(m,)`, exactly; as `search`."""
        queries = self.points[points]
        distances = np.full((len(points), k), np.inf, np.float32)
        found = np.zeros((len(points), k), np.int64)
        ends = self.starts[:-1] + self.sizes
        candidates = np.concatenate(list(map(np.arange, self.starts, ends)))
        size = rows_held(self.points.shape[1])
        for block in row_blocks(len(candidates), size, "neighbours of a sample"):
            part = candidates[block]
            near, columns = find_nearest(queries, self.points[part], min(k, len(part)))
            near, others = np.hstack([distances, near]), np.hstack([found, part[columns]])
            kept = np.argsort(near, axis=1, kind="stable")[:, :k]
            distances = np.take_along_axis(near, kept, axis=1)
            found = np.take_along_axis(others, kept, axis=1)
        return distances, found


def divide(vectors: np.ndarray, max_copies: int, metric: Metric, seed: int) -> Cells:
    """Divide vectors `(n, d)` into about 2 sqrt(n) cells by k-means.

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


def fewest_cells(ranks: np.ndarray, num_cells: int, target: float) -> int:
    """Find how many cells must be searched for a recall of a sample's true neighbours.

    The mean recall minus two standard errors must reach the target, so that other queries reach it
    as well; all cells are searched if fewer do not.

    Args:
        ranks: of the cell of each neighbour `(m, k)`; a search of more cells than that finds it.
        num_cells: the number of all cells.
        target: the recall.
    """
    for count in range(1, num_cells):
        recalls = (ranks < count).mean(axis=1)
        if recalls.mean() - 2 * recalls.std() / len(recalls) ** 0.5 >= target:
            return count
    return num_cells


def _train_centres(vectors: np.ndarray, rows: np.ndarray, metric: Metric, seed: int) -> np.ndarray:
    """Centres `(c, d)` of the cells of some rows, from a sample of these."""
    num_cells = max(1, min(int(2 * len(rows) ** 0.5), len(rows) // LEAST_PER_CELL))
    size = min(len(rows), PER_CELL * num_cells)
    sample = np.sort(np.random.default_rng(seed).choice(rows, size, replace=False))
    means = faiss.Kmeans(vectors.shape[1], num_cells, niter=NUM_ITERATIONS, seed=seed % 2**31)
    means.train(_copy_rows(vectors, sample, metric))
    return np.asarray(means.centroids)


def _nearest_centres(vectors: np.ndarray, centres: np.ndarray, metric: Metric) -> np.ndarray:
    """The nearest of centres `(c, d)` to each vector, int32 `(n,)`."""
    nearest = np.empty(len(vectors), np.int32)
    for block in row_blocks(len(vectors), rows_held(vectors.shape[1]), "dividing vectors"):
        _, found = faiss.knn(read_vectors(vectors[block], metric), centres, 1)
        nearest[block] = found[:, 0]
    return nearest


def _copy_rows(vectors: np.ndarray, rows: np.ndarray, metric: Metric) -> np.ndarray:
    """Some rows of vectors, read a block at a time into a temporary file."""
    copy = disk_array((len(rows), vectors.shape[1]), np.float32)
    for block in row_blocks(len(rows), rows_held(vectors.shape[1]), "copying vectors"):
        copy[block] = read_vectors(vectors[rows[block]], metric)
    return copy


def _squared_norms(vectors: Tensor) -> Tensor:
    """Of vectors `(n, d)`, without a copy of them."""
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=1)
    return norms.square()
