"""Approximate k nearest neighbours, where comparing all pairs would take too long."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import faiss
import numpy as np
from tqdm import tqdm

from embedlab.search.neighbours import (
    Metric,
    check_count,
    neighbours_of,
    read_vectors,
    to_metric,
    without_self,
)

logger = logging.getLogger(__name__)

# Rows read, added or searched at a time.
CHUNK_SIZE = 16384

# Vectors of the training sample for each cell: the least that faiss takes without a warning, and
# the number taken where there are as many.
LEAST_PER_CELL = 39
PER_CELL = 48

# Relative difference within which two computed distances are the same.
TOLERANCE = 1e-4


def approximate_neighbours(
    vectors: np.ndarray,
    k: int,
    metric: Metric = "euclidean",
    target_recall: float = 0.95,
    n_sample: int = 1000,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, float]:
    """About the k nearest other rows of each row, by an inverted file, and how many of them.

    Vectors are divided by k-means into cells, and a row's neighbours looked for in the cells
    nearest to it: in as many as it takes to reach the target on a sample of rows.

    Args:
        vectors: `(n, d)`, read in chunks into an index of their size in float32; the exact
            neighbours of the samples take twice this size before.
        k: neighbours of each row.
        metric: Euclidean distance, or 1 - cosine.
        target_recall: share of the true neighbours to be found.
        n_sample: rows of the sample that sets the search, and of the one that measures it; each
            at most half of the rows.
        seed: of the samples and of k-means.

    Returns:
        Distances, float32, and row numbers, int64, both `(n, k)`, the nearest first, equally near
        ones by row number; and the recall measured on a sample of other rows.

    Raises:
        InputError: if k is not from 1 to n - 1, a vector is not finite, or, for cosines, is null.

    References:
        Jégou et al. 2011, Product Quantization for Nearest Neighbor Search (the inverted file);
        Douze et al. 2024, The Faiss library, arXiv 2401.08281.
    """
    check_count(k, len(vectors) - 1)
    rng = np.random.default_rng(seed)
    half = min(n_sample, len(vectors) // 2)
    rows = rng.permutation(len(vectors))[: 2 * half]
    radii = _exact_radii(vectors, rows, k, metric)
    search = _Search(_build_index(vectors, metric, rng), vectors, k, metric)
    _set_probes(search, rows[:half], radii[:half], target_recall)
    recall = float(search.recalls(rows[half:], radii[half:]).mean())
    logger.info(
        "Approximate neighbours: %d of %d cells are searched, recall@%d %.4f",
        *(search.index.nprobe, search.index.nlist, k, recall),
    )
    return *_search_all(search), recall


@dataclass(frozen=True)
class _Search:
    """An index, and what is looked for in it."""

    index: faiss.IndexIVFFlat
    vectors: np.ndarray
    k: int
    metric: Metric

    def neighbours(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances and numbers of the neighbours found for some rows, both `(m, k)`."""
        queries = read_vectors(self.vectors[rows], self.metric)
        squared, found = self.index.search(queries, self.k + 1)
        probes = self.index.nprobe
        # Where the cells hold too few, the index answers -1: look in more of them.
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
        """The share of neighbours found that are no farther than the true k-th; `(m,)`.

        References:
            Aumüller et al. 2020, ANN-Benchmarks: equally near ones count the same.
        """
        distances, _ = self.neighbours(rows)
        return (distances <= (1 + TOLERANCE) * radii[:, None]).mean(axis=1)


def _exact_radii(vectors: np.ndarray, rows: np.ndarray, k: int, metric: Metric) -> np.ndarray:
    """The distances `(m,)` of some rows to their k-th nearest others."""
    distances, found = neighbours_of(vectors[rows], vectors, k + 1, metric)
    return without_self(distances, found, rows)[0][:, -1]


def _build_index(
    vectors: np.ndarray, metric: Metric, rng: np.random.Generator
) -> faiss.IndexIVFFlat:
    """An inverted file of about 4 sqrt(n) cells, as faiss's guidelines have it."""
    n_rows, dimension = vectors.shape
    n_cells = max(1, min(int(4 * n_rows**0.5), n_rows // LEAST_PER_CELL))
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(dimension), dimension, n_cells)
    index.cp.seed = int(rng.integers(2**31))
    sample = rng.choice(n_rows, min(n_rows, PER_CELL * n_cells), replace=False)
    index.train(read_vectors(vectors[np.sort(sample)], metric))
    for rows in _chunks(n_rows, "indexing vectors"):
        index.add(read_vectors(vectors[rows], metric))
    return index


def _set_probes(search: _Search, rows: np.ndarray, radii: np.ndarray, target: float) -> None:
    """Search in as many cells as it takes to reach the target.

    The mean recall less two standard errors is to reach it, so that other rows will, too.
    """
    index = search.index
    while index.nprobe < index.nlist:
        recalls = search.recalls(rows, radii)
        if recalls.mean() - 2 * recalls.std() / len(rows) ** 0.5 >= target:
            return
        index.nprobe = min(index.nprobe + max(1, index.nprobe // 4), index.nlist)


def _search_all(search: _Search) -> tuple[np.ndarray, np.ndarray]:
    """Distances and numbers of the neighbours of all rows, both `(n, k)`."""
    shape = len(search.vectors), search.k
    distances, found = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.int64)
    for rows in _chunks(len(search.vectors), "approximate neighbours"):
        distances[rows], found[rows] = search.neighbours(rows)
    return distances, found


def _chunks(n_rows: int, description: str) -> Iterator[np.ndarray]:
    """The numbers of successive rows, with a progress bar."""
    for start in tqdm(range(0, n_rows, CHUNK_SIZE), desc=description, delay=2, leave=False):
        yield np.arange(start, min(start + CHUNK_SIZE, n_rows))
