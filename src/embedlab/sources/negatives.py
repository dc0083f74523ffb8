"""Negatives for (query, positive) pairs: random ones, and hard ones by BM25."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from embedlab.errors import InputError
from embedlab.search.bm25 import Bm25Parameters, bm25_top_k

# Ranking n rows takes n x n scores, so large tables are ranked in blocks of at most so many rows.
BLOCK_ROWS = 10_000

BM25 = Bm25Parameters()

Indices = NDArray[np.intp]
Keys = NDArray[Any]


def random_negatives(num_rows: int, random: np.random.Generator) -> Indices:
    """The successor `(n,)` of each of n >= 2 rows in a random cyclic order of all rows.

    Example:
        >>> sorted(random_negatives(4, np.random.default_rng(0)).tolist())
        [0, 1, 2, 3]
    """
    cycle = random.permutation(num_rows)
    negatives = np.empty_like(cycle)
    negatives[cycle] = np.roll(cycle, -1)
    return negatives


def bm25_negatives(queries: Sequence[str], positives: Sequence[str]) -> Indices:
    """The other row `(n,)` for each of n >= 2 queries whose positive has the greatest BM25 score.

    More than 10,000 rows are ranked within blocks of equal size.
    """
    num_blocks = -(-len(queries) // BLOCK_ROWS)
    bounds = np.linspace(0, len(queries), num_blocks + 1, dtype=int)
    nearest = []
    for start, stop in tqdm(list(pairwise(bounds)), desc="BM25 negatives", delay=2, leave=False):
        keys = np.arange(stop - start)
        others = near_neighbours(queries[start:stop], keys, positives[start:stop], keys, count=1)
        nearest.append(start + others[:, 0])
    return np.concatenate(nearest)


def near_neighbours(
    queries: Sequence[str],
    query_keys: Keys,
    texts: Sequence[str],
    text_keys: Keys,
    count: int,
) -> Indices:
    """Find the texts that have the greatest BM25 scores for each query and another key than it.

    Args:
        queries: the n texts to search with.
        query_keys: `(n,)`, what makes a text too similar, such as its identity or its title.
        texts: the m texts to search in.
        text_keys: `(m,)`; a text with the key of the query is excluded.
        count: number of neighbours of each query.

    Returns:
        Indices into `texts`, `(n, count)`, in descending order of score, distinct within a row.

    Raises:
        InputError: if a query has fewer than `count` texts of another key, or no text has a term.
    """
    if not len(queries):
        return np.empty((0, count), dtype=np.intp)
    num_excluded = pd.Series(text_keys).value_counts().reindex(query_keys, fill_value=0).max()
    if len(texts) - num_excluded < count:
        raise InputError(
            f"near neighbours: a text among {len(texts)} has fewer than {count} others that differ"
            " from it: sample more texts, or ask for fewer neighbours"
        )
    best = bm25_top_k(texts, queries, BM25, count + int(num_excluded))
    candidates = best.columns.numpy()
    excluded = text_keys[candidates] == query_keys[:, None]
    allowed_first = np.argsort(excluded, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(candidates, allowed_first, axis=1).astype(np.intp)
