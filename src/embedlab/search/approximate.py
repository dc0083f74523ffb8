"""Approximate k nearest neighbours, for collections too large to compare all pairs."""

import logging

import numpy as np

from embedlab.files import disk_array
from embedlab.search.cells import Cells, divide, fewest_cells
from embedlab.search.neighbours import (
    Metric,
    check_count,
    row_blocks,
    rows_held,
    to_metric,
    without_self,
)

logger = logging.getLogger(__name__)

# Rows by which the number of cells to search is set, and other rows on which recall is measured.
SAMPLE_SIZE = 1000

# Distances whose relative difference is less count as equal.
TOLERANCE = 1e-4


def approximate_neighbours(
    vectors: np.ndarray,
    k: int,
    metric: Metric = "euclidean",
    target_recall: float = 0.95,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Find about the k nearest other rows of each row by cells, and measure the recall.

    k-means divides the vectors `(n, d)` into cells, and the neighbours of a row are searched in the
    cells nearest to it. The number of cells is the least with which a sample of rows reaches the
    target recall, the share of the true neighbours that are found.

    A copy of the vectors and the results are in temporary files; some 50 bytes a row are in memory.

    Returns:
        Distances, float32, and row numbers, int64, both `(n, k)`, in ascending order of distance,
        ties by row number; and the recall on a second sample.

    Raises:
        InputError: if k is not from 1 to n - 1, a vector is not finite, or the metric is cosine
            and a vector is zero.

    References:
        Jégou et al. 2011, Product Quantization for Nearest Neighbor Search (the inverted file);
        Aumüller et al. 2020, ANN-Benchmarks: recall by distance, so that ties count as found.
    """
    check_count(k, len(vectors) - 1)
    cells = divide(vectors, k + 1, metric, seed)
    num_probes, recall = _set_probes(cells, k, target_recall, seed)
    shape = len(vectors), k
    distances, found = disk_array(shape, np.float32), disk_array(shape, np.int64)
    size = rows_held(max(vectors.shape[1], len(cells.centres)))
    for block in row_blocks(len(vectors), size, "approximate neighbours"):
        points = np.arange(block.start, block.stop)
        near, others = without_self(*cells.search(points, num_probes, k + 1), points)
        others, rows = cells.rows[others], cells.rows[points]
        order = np.lexsort((others, near))
        distances[rows] = to_metric(np.take_along_axis(near, order, axis=1), metric)
        found[rows] = np.take_along_axis(others, order, axis=1)
    return distances, found, recall


def _set_probes(cells: Cells, k: int, target: float, seed: int) -> tuple[int, float]:
    """Choose the number of cells to search by a sample, and measure its recall by another."""
    num_points, num_cells = len(cells.rows), len(cells.centres)
    half = min(SAMPLE_SIZE, num_points // 2)
    points = np.random.default_rng(seed).permutation(num_points)[: 2 * half]
    radii, true = without_self(*cells.compare(points, k + 1), points)
    ranks = _ranks(cells, points[:half], true[:half])
    num_probes = fewest_cells(ranks, num_cells, target)
    others = points[half:]
    found, _ = without_self(*cells.search(others, num_probes, k + 1), others)
    recall = float((found <= (1 + TOLERANCE) * radii[half:, -1:]).mean())
    logger.info(
        "Approximate neighbours: searching %d of %d cells a row, recall@%d %.4f",
        *(num_probes, num_cells, k, recall),
    )
    return num_probes, recall


def _ranks(cells: Cells, points: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """The rank of the cell of each neighbour `(m, k)` by its distance from the point `(m,)`.

    A search of more cells than that finds the neighbour.
    """
    ranks = cells.squares(points).argsort(axis=1).argsort(axis=1)
    found: np.ndarray = np.take_along_axis(ranks, cells.cell_of(neighbours), axis=1)
    return found
