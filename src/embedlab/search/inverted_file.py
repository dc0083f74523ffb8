"""Approximate search for many queries at once: each looks at the cells of the corpus near to it."""

import logging
from dataclasses import dataclass
from typing import Any, Self

import faiss
import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from embedlab.search.cells import fewest_cells
from embedlab.search.exact import (
    QUERY_BLOCK,
    Best,
    Similarity,
    check_inputs,
    compare,
    exact_top_k,
    make_run,
    merge_top_k,
    read_vectors,
    to_similarity,
)
from embedlab.text_table import Ids

logger = logging.getLogger(__name__)

# Documents read at a time.
CHUNK_SIZE = 16384

# Documents of the k-means sample for each cell: the number below which faiss warns. With more
# iterations than these the cells hardly change.
PER_CELL, NUM_ITERATIONS = 39, 10

# Queries by which the number of cells to search is set, and others on which recall is measured.
SAMPLE_SIZE = 200


def approximate_search(
    queries: np.ndarray,
    corpus: np.ndarray,
    query_ids: Ids,
    corpus_ids: Ids,
    top_k: int,
    similarity: Similarity = "dot",
    target_recall: float = 0.95,
    seed: int = 0,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Find about the `top_k` most similar documents of each query, and measure the recall.

    k-means divides the corpus into cells, about the root of its size in number. Each query is
    compared with the documents of the cells nearest to it, in as many of them as a sample of
    queries needs to find the target share of its `top_k` by exact search. The corpus is read three
    times and stays where it is, in a memory map for instance; ten bytes a document are held.

    It saves time if there are more queries than cells: the division alone compares each document
    with each cell.

    Returns:
        A run as of `exact_search`, but ties are in any order; and a report ready for JSON: the
        numbers of documents, cells and cells searched, and the recall on other queries.

    Raises:
        InputError: if queries and documents have different dimensions, or vectors and ids differ
            in number.

    References:
        Jégou et al. 2011, Product Quantization for Nearest Neighbor Search (the inverted file).
    """
    check_inputs(queries, corpus, query_ids, corpus_ids)
    file = InvertedFile.build(corpus, similarity, seed)
    sample = np.random.default_rng(seed).permutation(len(queries))[: 2 * SAMPLE_SIZE]
    expected = exact_top_k(queries[sample], corpus, top_k, similarity).columns.numpy()
    half = -(-len(sample) // 2)
    num_probed = file.probes_for(queries[sample[:half]], expected[:half], target_recall)
    best = file.search(queries, top_k, num_probed)
    found = best.columns.numpy()
    measured = zip(found[sample[-half:]], expected[-half:], strict=True)
    recall = float(np.mean([np.isin(true, own).mean() for own, true in measured]))
    logger.info(
        "Approximate search: %d of %d cells a query, recall@%d %.4f on %d queries",
        *(num_probed, len(file.centroids), top_k, recall, half),
    )
    report = {
        "method": "inverted file",
        "num_documents": len(corpus),
        "num_cells": len(file.centroids),
        "num_searched": num_probed,
        f"recall@{top_k}": recall,
        "num_sampled_queries": half,
    }
    run = make_run(query_ids, corpus_ids, best.scores.numpy(), found.clip(min=0))
    return run[found.ravel() >= 0].reset_index(drop=True), report


@dataclass(frozen=True)
class InvertedFile:
    """Vectors `(n, d)`, which stay where they are, and their division into c cells.

    Attributes:
        vectors: the corpus.
        similarity: how it is compared with queries.
        centroids: `(c, d)`.
        cells: the cell of each vector, `(n,)`.
        rows: the rows of the vectors by cell, `(n,)`; ascending in each.
        bounds: cell i has `rows[bounds[i] : bounds[i + 1]]`, `(c + 1,)`.
    """

    vectors: np.ndarray
    similarity: Similarity
    centroids: Tensor
    cells: np.ndarray
    rows: np.ndarray
    bounds: np.ndarray

    @classmethod
    def build(cls, vectors: np.ndarray, similarity: Similarity, seed: int) -> Self:
        """Divide vectors by k-means, which a sample of them trains."""
        num_rows, dimension = vectors.shape
        num_cells = max(1, min(int(num_rows**0.5), num_rows // PER_CELL))
        rng = np.random.default_rng(seed)
        sample = rng.choice(num_rows, min(num_rows, PER_CELL * num_cells), replace=False)
        means = faiss.Kmeans(dimension, num_cells, niter=NUM_ITERATIONS, seed=seed % 2**31)
        means.train(read_vectors(vectors[np.sort(sample)], similarity).numpy())
        # Numbers of two bytes, as many as there can be cells, are sorted in linear time.
        cells = np.empty(num_rows, dtype=np.uint16)
        starts = range(0, num_rows, CHUNK_SIZE)
        for start in tqdm(starts, desc="dividing the corpus", unit="chunk", delay=2, leave=False):
            chunk = read_vectors(vectors[start : start + CHUNK_SIZE], similarity).numpy()
            cells[start : start + CHUNK_SIZE] = means.index.search(chunk, 1)[1][:, 0]
        bounds = np.cumsum([0, *np.bincount(cells, minlength=num_cells)])
        centroids = read_vectors(np.array(means.centroids), similarity)
        rows = np.argsort(cells, kind="stable")
        return cls(vectors, similarity, centroids, cells, rows, bounds)

    def nearest_cells(self, queries: Tensor, count: int) -> Tensor:
        """The cells `(q, count)` whose centroids are most similar to each query, in this order."""
        blocks = torch.split(queries, QUERY_BLOCK)
        scores = (compare(block, self.centroids, self.similarity) for block in blocks)
        return torch.cat([block.topk(count, dim=1).indices for block in scores])

    def probes_for(self, queries: np.ndarray, expected: np.ndarray, target: float) -> int:
        """Find how many cells must be searched for a recall of the expected rows `(q, k)`."""
        order = self.nearest_cells(read_vectors(queries, self.similarity), len(self.centroids))
        ranks = order.argsort(dim=1).numpy()
        needed = np.take_along_axis(ranks, self.cells[expected].astype(np.int64), axis=1)
        return fewest_cells(needed, len(self.centroids), target)

    def search(self, queries: np.ndarray, k: int, num_probed: int) -> Best:
        """Find the k most similar rows among those of the cells nearest to each query.

        Cell by cell for all queries, so that each vector is read once at most.

        Returns:
            Similarities and rows `(q, k)`; if the cells have fewer, -inf and -1 at the end.
        """
        vectors = read_vectors(queries, self.similarity)
        probed = self.nearest_cells(vectors, num_probed).ravel()
        order = probed.argsort(stable=True)
        ends = probed.bincount(minlength=len(self.centroids)).tolist()
        shape = len(vectors), k
        best = Best(torch.full(shape, -torch.inf), torch.full(shape, -1))
        asking = torch.split(order // num_probed, ends)
        for cell, own in enumerate(tqdm(asking, desc="approximate search", delay=2, leave=False)):
            self._search_cell(cell, vectors, own, best)
        return best._replace(scores=to_similarity(best.scores, vectors, self.similarity))

    def _search_cell(self, cell: int, queries: Tensor, asking: Tensor, best: Best) -> None:
        """Add the rows of a cell to the best of the queries that ask for it."""
        rows = self.rows[self.bounds[cell] : self.bounds[cell + 1]]
        for start in range(0, len(rows) if len(asking) else 0, CHUNK_SIZE):
            part = torch.from_numpy(rows[start : start + CHUNK_SIZE])
            chunk = read_vectors(self.vectors[part.numpy()], self.similarity)
            for block in torch.split(asking, QUERY_BLOCK):
                scores = compare(queries[block], chunk, self.similarity)
                so_far = Best(best.scores[block], best.columns[block])
                merged = merge_top_k(so_far, scores, part, so_far.scores.shape[1])
                best.scores[block], best.columns[block] = merged
