"""Exact search over all vectors for the k greatest scores; its table of results is a run.

A run has the columns query_id, corpus_id and score; scores of a query are in descending order.
"""

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from embedlab.errors import InputError
from embedlab.text_table import Ids, take_ids

Similarity = Literal["cosine", "dot", "euclidean"]

# Queries in one matrix product: with the default chunk, 32 MiB of scores at a time.
QUERY_BLOCK = 512


class Best(NamedTuple):
    """The greatest scores `(q, k)` of q queries in descending order, and their columns `(q, k)`."""

    scores: Tensor
    columns: Tensor


def exact_search(
    queries: np.ndarray,
    corpus: np.ndarray,
    query_ids: Ids,
    corpus_ids: Ids,
    top_k: int,
    similarity: Similarity = "dot",
    chunk_size: int = 16384,
) -> pd.DataFrame:
    """Find the `top_k` most similar documents of each query by comparing all of them.

    The corpus is read once, `chunk_size` documents at a time, so a memory map may exceed the main
    memory. Ties are ordered by position in the corpus. The similarity is the dot product, the dot
    product of the L2-normalised vectors, or the negative Euclidean distance.

    Shape:
        - queries: `(q, d)`
        - corpus: `(n, d)`
        - output: a run of `q * min(top_k, n)` rows

    Raises:
        InputError: if queries and documents have different dimensions, or vectors and ids differ
            in number.

    Example:
        >>> corpus = np.eye(3, dtype=np.float32)
        >>> ids = as_ids(["q"]), as_ids(["a", "b", "c"])
        >>> exact_search(corpus[:1], corpus, *ids, top_k=1).values.tolist()
        [['q', 'a', 1.0]]
    """
    _check_counts("queries", queries, query_ids)
    _check_counts("documents", corpus, corpus_ids)
    if queries.shape[1] != corpus.shape[1]:
        raise InputError(
            f"queries have {queries.shape[1]} dimensions and documents {corpus.shape[1]}: "
            "embed both with the same encoder"
        )
    if not len(corpus):
        return make_run(
            query_ids, corpus_ids, np.empty((len(queries), 0)), np.empty((len(queries), 0), int)
        )
    vectors = _read(queries)
    if similarity == "cosine":
        vectors = torch.nn.functional.normalize(vectors)
    blocks = torch.split(vectors, QUERY_BLOCK)
    best: list[Best | None] = [None] * len(blocks)
    starts = range(0, len(corpus), chunk_size)
    for start in tqdm(starts, desc="exact search", unit="chunk", delay=2, leave=False):
        chunk = _read(corpus[start : start + chunk_size])
        squares = np.einsum("nd,nd->n", chunk, chunk)
        for i, block in enumerate(blocks):
            scores = _compare(block, chunk, squares, similarity)
            best[i] = merge_top_k(best[i], scores, torch.arange(start, start + len(chunk)), top_k)
    found = filter(None, best)
    values, positions = (torch.cat(parts).numpy() for parts in zip(*found, strict=True))
    if similarity == "euclidean":
        lengths = vectors.square().sum(dim=1, keepdim=True).numpy()
        values = -np.sqrt(np.maximum(lengths - 2 * values, 0))
    return make_run(query_ids, corpus_ids, values, positions)


def stable_top_k(scores: Tensor, k: int) -> Best:
    """Find the k greatest of each row of `scores`; ties are ordered by column.

    Shape:
        - scores: `(q, n)`
        - output: scores and columns, both `(q, min(k, n))`

    Example:
        >>> stable_top_k(torch.tensor([[1.0, 3.0, 2.0, 3.0, 3.0]]), k=2).columns
        tensor([[1, 3]])
    """
    num_columns = scores.shape[1]
    best, columns = scores.topk(min(k + 1, num_columns), dim=1)
    if num_columns > k:
        # If the k-th and the next are equal, topk may have kept any of their equals: sort that row.
        tied = best[:, k - 1] == best[:, k]
        if tied.any():
            best[tied], columns[tied] = _stable_sort(scores[tied], k + 1)
        best, columns = best[:, :k], columns[:, :k]
    columns, order = columns.sort(dim=1)
    best, order = _stable_sort(best.gather(1, order), k)
    return Best(best, columns.gather(1, order))


def merge_top_k(best: Best | None, scores: Tensor, documents: Tensor, k: int) -> Best:
    """Keep the k greatest of those found so far and of the scores `(q, m)` of further documents.

    The numbers of the documents `(m,)` are ascending, and greater than those so far, so that ties
    are ordered by number.
    """
    if best is None:
        found, columns = stable_top_k(scores, k)
        return Best(found, documents[columns])
    is_full = best.scores.shape[1] == k
    found, columns = _above(scores, best.scores[:, -1:]) if is_full else stable_top_k(scores, k)
    kept, order = _stable_sort(torch.cat([best.scores, found], dim=1), k)
    return Best(kept, torch.cat([best.columns, documents[columns]], dim=1).gather(1, order))


def make_run(
    query_ids: Ids, corpus_ids: Ids, scores: np.ndarray, positions: np.ndarray
) -> pd.DataFrame:
    """Make a run from the scores and corpus positions `(q, k)` of the results of q queries."""
    return pd.DataFrame(
        {
            "query_id": np.repeat(np.array(query_ids.to_pylist(), object), positions.shape[1]),
            "corpus_id": take_ids(corpus_ids, positions.ravel()),
            "score": scores.ravel(),
        }
    )


def _check_counts(name: str, vectors: np.ndarray, ids: Ids) -> None:
    if len(vectors) != len(ids):
        raise InputError(
            f"{len(vectors)} vectors of {name} but {len(ids)} ids: run embedding_cache again"
        )


def _read(array: np.ndarray) -> Tensor:
    """Vectors `(m, d)` in memory: a copy if the array is a read-only map, else the array itself."""
    return torch.from_numpy(np.require(array, np.float32, ["C", "W"]))


def _compare(
    queries: Tensor, documents: Tensor, squares: np.ndarray, similarity: Similarity
) -> Tensor:
    """Scores `(q, m)`, the similarities; queries are L2-normalised for cosine.

    For Euclidean distance the scores are $q^T x - ||x||^2 / 2 = (||q||^2 - ||q - x||^2) / 2$.
    """
    scores = queries @ documents.T
    if similarity == "euclidean":
        scores -= torch.from_numpy(squares / 2)
    elif similarity == "cosine":
        scores /= torch.from_numpy(np.sqrt(np.where(squares > 0, squares, 1)))
    return scores


def _above(scores: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
    """The scores above each row's floor `(q, 1)`, and their columns in ascending order.

    These are few once many documents have been seen, and finding them is faster than sorting. Rows
    with fewer than others are padded with -inf.
    """
    rows, columns = (scores > floor).nonzero(as_tuple=True)
    counts = rows.bincount(minlength=len(scores))
    slots = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    above = scores.new_full((len(scores), int(counts.max())), -torch.inf)
    above_columns = torch.zeros_like(above, dtype=torch.int64)
    above[rows, slots], above_columns[rows, slots] = scores[rows, columns], columns
    return above, above_columns


def _stable_sort(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k greatest of each row and their columns by a full sort, ties in their present order."""
    ordered, columns = scores.sort(dim=1, descending=True, stable=True)
    return ordered[:, :k], columns[:, :k]
