"""Approximate k nearest neighbours, for collections too large to compare all pairs."""

import logging
from dataclasses import dataclass

import faiss
import numpy as np

from embedlab.search.neighbours import (
    Metric,
    check_count,
    neighbours_of,
    read_vectors,
    row_blocks,
    to_metric,
    without_self,
)

logger = logging.getLogger(__name__)

# Rows read, added or searched at a time.
CHUNK_SIZE = 16384

# Training vectors for each k-means cell: the number below which faiss warns, and the number used
# if the collection has as many.
LEAST_PER_CELL = 39
PER_CELL = 48

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
    """Find about the k nearest other rows of each row by an inverted file, and measure the recall.

    k-means divides the vectors into cells, and the neighbours of a row are searched in the cells
    nearest to it. The number of cells is raised until a sample of rows reaches the target recall,
    the share of the true neighbours that are found.

    The vectors `(n, d)` are read in chunks into an index of their size in float32; before that,
    the exact neighbours of the samples take twice this size.

    Returns:
        Distances, float32, and row numbers, int64, both `(n, k)`, in ascending order of distance,
        ties by row number; and the recall on a second sample.

    Raises:
        InputError: if k is not from 1 to n - 1, a vector is not finite, or the metric is cosine
            and a vector is zero.

    References:
        Jégou et al. 2011, Product Quantization for Nearest Neighbor Search (the inverted file);
        Douze et al. 2024, The Faiss library, arXiv 2401.08281.
    """
    check_count(k, len(vectors) - 1)
    rng = np.random.default_rng(seed)
    half = min(SAMPLE_SIZE, len(vectors) // 2)
    rows = rng.permutation(len(vectors))[: 2 * half]
    radii = _exact_radii(vectors, rows, k, metric)
    search = _Search(_build_index(vectors, metric, rng), vectors, k, metric)
    _set_probes(search, rows[:half], radii[:half], target_recall)
    recall = float(search.recalls(rows[half:], radii[half:]).mean())
    logger.info(
        "Approximate neighbours: searching %d of %d cells a row, recall@%d %.4f",
        *(search.index.nprobe, search.index.nlist, k, recall),
    )
    shape = len(vectors), k
    distances, found = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.int64)
    for rows in row_blocks(np.arange(len(vectors)), CHUNK_SIZE, "approximate neighbours"):
        distances[rows], found[rows] = search.neighbours(rows)
    return distances, found, recall


@dataclass(frozen=True)
class _Search:
    """A search for the k nearest other rows of some rows."""

    index: faiss.IndexIVFFlat
    vectors: np.ndarray
    k: int
    metric: Metric

    def neighbours(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the neighbours of some rows: distances and row numbers, both `(m, k)`."""
        queries = read_vectors(self.vectors[rows], self.metric)
        squared, found = self.index.search(queries, self.k + 1)
        probes = self.index.nprobe
        # The index fills up with -1 if the cells hold too few vectors: search more cells.
        while probes < self.index.nlist and (few := (found < 0).any(axis=1)).any():
            probes = min(2 * probes, self.index.nlist)
            wider = faiss.SearchParametersIVF()
            wider.nprobe = probes
            squared[few], found[few] = self.index.search(queries[few], self.k + 1, params=wider)
        order = np.lexsort((found, squared))
        distances = np.take_along_axis(np.sqrt(squared), order, axis=1)
        nearest, others = without_self(distances, np.take_along_axis(found, order, axis=1), rows)
        return to_metric(nearest, self.metric), others

    def recalls(self, rows: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """Compute the share of the neighbours found that are no farther than the true k-th, `(m,)`.

        References:
            Aumüller et al. 2020, ANN-Benchmarks: recall by distance, so that ties count as found.
        """
        distances, _ = self.neighbours(rows)
        recalls: np.ndarray = (distances <= (1 + TOLERANCE) * radii[:, None]).mean(axis=1)
        return recalls


def _exact_radii(vectors: np.ndarray, rows: np.ndarray, k: int, metric: Metric) -> np.ndarray:
    """Distances `(m,)` of some rows to their k-th nearest other row."""
    distances, found = neighbours_of(vectors[rows], vectors, k + 1, metric)
    return without_self(distances, found, rows)[0][:, -1]


def _build_index(
    vectors: np.ndarray, metric: Metric, rng: np.random.Generator
) -> faiss.IndexIVFFlat:
    """An inverted file of about 4 sqrt(n) cells, which faiss's guidelines recommend."""
    num_rows, dimension = vectors.shape
    num_cells = max(1, min(int(4 * num_rows**0.5), num_rows // LEAST_PER_CELL))
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(dimension), dimension, num_cells)
    index.cp.seed = int(rng.integers(2**31))
    sample = rng.choice(num_rows, min(num_rows, PER_CELL * num_cells), replace=False)
    index.train(read_vectors(vectors[np.sort(sample)], metric))
    for rows in row_blocks(np.arange(num_rows), CHUNK_SIZE, "indexing vectors"):
        index.add(read_vectors(vectors[rows], metric))
    return index


def _set_probes(search: _Search, rows: np.ndarray, radii: np.ndarray, target: float) -> None:
    """Raise the number of cells searched until the recall of a sample reaches the target.

    The mean recall minus two standard errors must reach it, so that other rows reach it as well.
    """
    index = search.index
    while index.nprobe < index.nlist:
        recalls = search.recalls(rows, radii)
        if recalls.mean() - 2 * recalls.std() / len(rows) ** 0.5 >= target:
            return
        index.nprobe = min(index.nprobe + max(1, index.nprobe // 4), index.nlist)
