"""Negatives for (query, positive) pairs: each row is given the number of another row."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from tqdm import tqdm

from embedlab.sources.near_neighbours import Indices, near_neighbours

# Ranking costs rows times rows, so that large tables are ranked in blocks of at most this size.
BLOCK_ROWS = 10_000


def random_negatives(rows: int, random: np.random.Generator) -> Indices:
    """For each of n >= 2 rows another row, each row being used once.

    Returns:
        Row numbers `(n,)`: every row's successor on one random circle through all rows.
    """
    circle = random.permutation(rows)
    negatives = np.empty_like(circle)
    negatives[circle] = np.roll(circle, -1)
    return negatives


def bm25_negatives(queries: Sequence[str], positives: Sequence[str]) -> Indices:
    """For each of n >= 2 queries the row, its own aside, whose positive BM25 ranks first.

    More than 10,000 rows are ranked within blocks of equal size.

    Returns:
        Row numbers `(n,)`.
    """
    blocks = -(-len(queries) // BLOCK_ROWS)
    bounds = np.linspace(0, len(queries), blocks + 1, dtype=int)
    nearest = [
        start + _nearest_others(queries[start:stop], positives[start:stop])
        for start, stop in tqdm(list(pairwise(bounds)), desc="BM25 negatives", delay=2, leave=False)
    ]
    return np.concatenate(nearest)


def _nearest_others(queries: Sequence[str], positives: Sequence[str]) -> Indices:
    own = np.arange(len(queries))
    return near_neighbours(queries, own, positives, own, count=1)[:, 0]
