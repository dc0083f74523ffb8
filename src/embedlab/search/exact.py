"""Exact nearest-neighbour search, and the table that any search gives: a run.

A run has the columns query_id, corpus_id and score, the best document of each query first.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from embedlab.errors import InputError

Similarity = Literal["cosine", "dot", "euclidean"]

# Queries in one matrix product: with the default chunk, 32 MiB of scores at a time.
QUERY_BLOCK = 512

# The best scores `(q, k)` of some queries, the greatest first, and their positions in the corpus.
Best = tuple[np.ndarray, np.ndarray]


def exact_search(
    queries: np.ndarray,
    corpus: np.ndarray,
    query_ids: Sequence[str],
    corpus_ids: Sequence[str],
    top_k: int,
    similarity: Similarity = "dot",
    chunk_size: int = 16384,
) -> pd.DataFrame:
    """The `top_k` most similar documents of each query, by comparing all of them.

    The corpus is read once, `chunk_size` documents at a time, so it may be a memory map larger than
    the memory. Equal scores are ranked by position in the corpus.

    Args:
        queries: vectors `(q, d)`.
        corpus: vectors `(n, d)`.
        query_ids: the q identifiers of the queries.
        corpus_ids: the n identifiers of the documents.
        top_k: documents kept for each query, fewer if n is less.
        similarity: dot product, dot product of the L2-normalised vectors, or minus the Euclidean
            distance.
        chunk_size: documents compared at a time.

    Returns:
        A run of `q * min(top_k, n)` rows.

    Raises:
        InputError: if queries and documents have different dimensions, or vectors and ids differ
            in number.
    """
    _check_counts("queries", queries, query_ids)
    _check_counts("documents", corpus, corpus_ids)
    if queries.shape[1] != corpus.shape[1]:
        raise InputError(
            f"queries have {queries.shape[1]} dimensions and documents {corpus.shape[1]}: "
            "embed both with the same encoder"
        )
    vectors = _read(queries)
    if similarity == "cosine":
        vectors = torch.nn.functional.normalize(vectors)
    blocks = vectors.split(QUERY_BLOCK)
    best = [_nothing(len(block)) for block in blocks]
    starts = range(0, len(corpus), chunk_size)
    for start in tqdm(starts, desc="exact search", unit="chunk", delay=2, leave=False):
        chunk = _read(corpus[start : start + chunk_size])
        squares = np.einsum("nd,nd->n", chunk, chunk)
        for i, block in enumerate(blocks):
            scores = _compare(block, chunk, squares, similarity)
            best[i] = _merge(best[i], scores, start, top_k)
    scores, positions = (np.concatenate(parts) for parts in zip(*best, strict=True))
    if similarity == "euclidean":
        lengths = vectors.square().sum(dim=1, keepdim=True).numpy()
        scores = -np.sqrt(np.maximum(lengths - 2 * scores, 0))
    return make_run(query_ids, corpus_ids, scores, positions)


def stable_top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k greatest of each row of `scores` (q, n), and their columns, equal ones by column.

    Returns:
        Scores and columns, both `(q, min(k, n))`, the greatest first.
    """
    n_columns = scores.shape[1]
    best, columns = scores.topk(min(k + 1, n_columns), dim=1)
    if n_columns > k:
        # Where the last place is shared, topk may have taken any of the equals: sort that row.
        shared = best[:, k - 1] == best[:, k]
        if shared.any():
            best[shared], columns[shared] = _stable_sort(scores[shared], k + 1)
        best, columns = best[:, :k], columns[:, :k]
    columns, order = columns.sort(dim=1)
    best, order = _stable_sort(best.gather(1, order), k)
    return best, columns.gather(1, order)


def make_run(
    query_ids: Sequence[str], corpus_ids: Sequence[str], scores: np.ndarray, positions: np.ndarray
) -> pd.DataFrame:
    """A run from the scores and corpus positions `(q, k)` of each query's results."""
    return pd.DataFrame(
        {
            "query_id": np.repeat(np.array(query_ids, dtype=object), positions.shape[1]),
            "corpus_id": np.array(corpus_ids, dtype=object)[positions.ravel()],
            "score": scores.ravel(),
        }
    )


def _check_counts(name: str, vectors: np.ndarray, ids: Sequence[str]) -> None:
    if len(vectors) != len(ids):
        raise InputError(
            f"{len(vectors)} vectors of {name} but {len(ids)} ids: run embedding_cache again"
        )


def _read(array: np.ndarray) -> Tensor:
    """Vectors `(m, d)` in memory: those of a read-only map are read, others left in place."""
    return torch.from_numpy(np.require(array, np.float32, ["C", "W"]))


def _compare(
    queries: Tensor, documents: Tensor, squares: np.ndarray, similarity: Similarity
) -> np.ndarray:
    """Scores `(q, m)` of which the greater is the more similar.

    They are the similarity itself, queries being of unit norm for cosines; but for the Euclidean
    distance, $q^T x - ||x||^2 / 2 = (||q||^2 - ||q - x||^2) / 2$.

    Args:
        queries: `(q, d)`.
        documents: `(m, d)`.
        squares: the squared norms of the documents, `(m,)`.
        similarity: what is asked for.
    """
    scores = (queries @ documents.T).numpy()
    if similarity == "euclidean":
        scores -= squares / 2
    elif similarity == "cosine":
        scores /= np.sqrt(np.where(squares > 0, squares, 1))
    return scores


def _nothing(n_queries: int) -> Best:
    """No documents."""
    return np.empty((n_queries, 0), np.float32), np.empty((n_queries, 0), np.int64)


def _merge(best: Best, scores: np.ndarray, start: int, k: int) -> Best:
    """The k best so far and in the scores `(q, m)` of the documents from `start` on."""
    known, positions = best
    if known.shape[1] < k:
        found, columns = (part.numpy() for part in stable_top_k(torch.from_numpy(scores), k))
    else:
        found, columns = _above(scores, known[:, -1:])
    candidates = np.hstack([known, found])
    # Earlier positions stand first, so that a stable sort keeps the order of equal scores.
    order = np.argsort(-candidates, axis=1, kind="stable")[:, :k]
    rows = np.hstack([positions, columns + start])
    return np.take_along_axis(candidates, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _above(scores: np.ndarray, floor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scores above each row's floor `(q, 1)`, and their columns, which ascend.

    They are few once many documents have been seen, and finding them is quicker than sorting.

    Returns:
        Scores and columns, both `(q, w)` for the w of the fullest row, the others ended by -inf.
    """
    found = np.flatnonzero(scores > floor)
    rows, columns = np.divmod(found, scores.shape[1])
    counts = np.bincount(rows, minlength=len(scores))
    places = np.arange(len(found)) - np.repeat(counts.cumsum() - counts, counts)
    above = np.full((len(scores), counts.max()), -np.inf, dtype=np.float32)
    above_columns = np.zeros(above.shape, dtype=np.int64)
    above[rows, places], above_columns[rows, places] = scores[rows, columns], columns
    return above, above_columns


def _stable_sort(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The first k columns of the rows sorted downwards, equal scores in their present order."""
    ordered, columns = scores.sort(dim=1, descending=True, stable=True)
    return ordered[:, :k], columns[:, :k]
