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
    blocks = _vectors(queries, similarity).split(QUERY_BLOCK)
    scores = torch.empty(len(queries), 0)
    positions = torch.empty(len(queries), 0, dtype=torch.int64)
    starts = range(0, len(corpus), chunk_size)
    for start in tqdm(starts, desc="exact search", unit="chunk", delay=2, leave=False):
        chunk = _vectors(corpus[start : start + chunk_size], similarity)
        found = [stable_top_k(_compare(block, chunk, similarity), top_k) for block in blocks]
        # Earlier positions stand first, so that a stable sort keeps the order of equal scores.
        candidates = torch.cat([scores, torch.cat([part for part, _ in found])], dim=1)
        rows = torch.cat([positions, torch.cat([part for _, part in found]) + start], dim=1)
        scores, kept = _stable_sort(candidates, top_k)
        positions = rows.gather(1, kept)
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
    query_ids: Sequence[str], corpus_ids: Sequence[str], scores: Tensor, positions: Tensor
) -> pd.DataFrame:
    """A run from the scores and corpus positions `(q, k)` of each query's results."""
    return pd.DataFrame(
        {
            "query_id": np.repeat(np.array(query_ids, dtype=object), positions.shape[1]),
            "corpus_id": np.array(corpus_ids, dtype=object)[positions.numpy().ravel()],
            "score": scores.numpy().ravel(),
        }
    )


def _check_counts(name: str, vectors: np.ndarray, ids: Sequence[str]) -> None:
    if len(vectors) != len(ids):
        raise InputError(
            f"{len(vectors)} vectors of {name} but {len(ids)} ids: run embedding_cache again"
        )


def _vectors(array: np.ndarray, similarity: Similarity) -> Tensor:
    """Read vectors `(m, d)` into memory, L2-normalised if cosines are wanted."""
    vectors = torch.from_numpy(np.array(array, dtype=np.float32))
    return torch.nn.functional.normalize(vectors) if similarity == "cosine" else vectors


def _compare(queries: Tensor, documents: Tensor, similarity: Similarity) -> Tensor:
    """Scores `(q, m)` of prepared vectors."""
    if similarity == "euclidean":
        return -torch.cdist(queries, documents)
    return queries @ documents.T


def _stable_sort(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The first k columns of the rows sorted downwards, equal scores in their present order."""
    ordered, columns = scores.sort(dim=1, descending=True, stable=True)
    return ordered[:, :k], columns[:, :k]
