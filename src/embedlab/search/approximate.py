"""Approximate k nearest neighbours, for collections too large to compare all pairs."""

import logging

import numpy as np

from embedlab.files import disk_array
from embedlab.search.cells import Cells, divide
from embedlab.search.neighbours import (
    Metric,
    check_count,
    row_blocks,
    to_metric,
    without_self,
)

logger = logging.getLogger(__name__)

# Rows by which the number of cells to search is set, and other rows on which recall is measured.
SAMPLE_SIZE = 1000


def approximate_neighbours(
    vectors: np.ndarray,
    k: int,
    metric: Metric = "euclidean",
    target_recall: float = 0.95,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Find about the k nearest other rows of each row, cell by cell, and measure the recall.

    k-means divides the vectors `(n, d)` into cells. The neighbours of the rows of a cell are the
    nearest of all vectors in this cell and the cells around it. The number of cells is the least
    with which a sample of rows reaches the target recall, the share of the true neighbours that
    are found.

    The vectors and the results are in temporary files; about 40 bytes a row are in memory.

    Returns:
        Distances, float32, and row numbers, int64, both `(n, k)`, in ascending order of distance,
        ties by row number; and the recall on a second sample.

    Raises:
        InputError: if k is not from 1 to n - 1, a vector is not finite, or the metric is cosine
            and a vector is zero.

    References:
        Jégou et al. 2011, Product Quantization for Nearest Neighbor Search (the inverted file).
    """
    check_count(k, len(vectors) - 1)
    cells = divide(vectors, k + 1, metric, seed)
    num_probes, recall = _set_probes(cells, k, target_recall, seed)
    logger.info(
        "Approximate neighbours: searching %d of %d cells a row, recall@%d %.4f",
        *(num_probes, len(cells.centres), k, recall),
    )
    shape = len(vectors), k
    distances, found = disk_array(shape, np.float32), disk_array(shape, np.int64)
    for cell in row_blocks(len(cells.centres), 1, "approximate neighbours"):
        candidates = cells.around(cell.start, num_probes, k + 1)
        for points in cells.parts(cell.start):
            rows = cells.rows[points]
            near, others = _neighbours(cells, points, candidates, k)
            order = np.lexsort((cells.rows[others], near))
            distances[rows] = to_metric(np.take_along_axis(near, order, axis=1), metric)
            found[rows] = np.take_along_axis(cells.rows[others], order, axis=1)
    return distances, found, recall


def _neighbours(
    cells: Cells, points: np.ndarray, candidates: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Distances and numbers `(m, k)` of the candidates that are nearest to m other points."""
    return without_self(*cells.nearest(points, candidates, k + 1), points)


def _ranks(cells: Cells, points: np.ndarray, k: int) -> np.ndarray:
    """The rank of the cell of each true neighbour by its distance from the point's cell, `(m, k)`.

    A search of more cells than that finds the neighbour.
    """
    _, true = _neighbours(cells, points, cells.contents(np.arange(len(cells.centres))), k)
    own, others = cells.cell_of(points), cells.cell_of(true)
    ranks = [np.argsort(cells.order(cell))[near] for cell, near in zip(own, others, strict=True)]
    return np.stack(ranks)


def _set_probes(cells: Cells, k: int, target: float, seed: int) -> tuple[int, float]:
    """Choose the number of cells to search, and compute its recall on other rows.

    The mean recall minus two standard errors must reach the target, so that other rows reach it as
    well.
    """
    num_points, num_cells = len(cells.rows), len(cells.centres)
    half = min(SAMPLE_SIZE, num_points // 2)
    points = np.random.default_rng(seed).permutation(num_points)[: 2 * half]
    ranks = _ranks(cells, points, k)
    for num_probes in range(1, num_cells + 1):
        recalls = (ranks[:half] < num_probes).mean(axis=1)
        if recalls.mean() - 2 * recalls.std() / half**0.5 >= target:
            break
    return num_probes, float((ranks[half:] < num_probes).mean())
