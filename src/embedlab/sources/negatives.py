"""Negatives for (query, positive) pairs: each row is given the number of another row."""

import bm25s
import numpy as np
import pandas as pd

from embedlab.errors import InputError

# Ranking costs rows times rows, so that large tables are ranked in blocks of about this size.
BLOCK_ROWS = 50_000


def random_negatives(rows: int, random: np.random.Generator) -> np.ndarray:
    """For each of n >= 2 rows another row, each row being used once.

    Returns:
        Row numbers `(n,)`: every row's successor on one random circle through all rows.
    """
    circle = random.permutation(rows)
    negatives = np.empty_like(circle)
    negatives[circle] = np.roll(circle, -1)
    return negatives


def bm25_negatives(queries: pd.Series, positives: pd.Series) -> np.ndarray:
    """For each of n >= 2 queries the row, its own aside, whose positive BM25 ranks first.

    BM25 (Robertson and Zaragoza 2009) as bm25s has it by default: Lucene's variant, k1 = 1.5,
    b = 0.75, English stop words. More than 50,000 rows are ranked within blocks of equal size.

    Returns:
        Row numbers `(n,)`.

    Raises:
        InputError: when the positives have no words.
    """
    rows = np.arange(len(queries))
    blocks = np.array_split(rows, -(-len(rows) // BLOCK_ROWS))
    best = [
        block[0] + _best_others(list(queries.iloc[block]), list(positives.iloc[block]))
        for block in blocks
    ]
    return np.concatenate(best)


def _best_others(queries: list[str], documents: list[str]) -> np.ndarray:
    """The first of each query's two best documents that is not its own, `(n,)`."""
    tokens = bm25s.tokenize(documents, stopwords="en", show_progress=False)
    if not any(map(len, tokens.ids)):
        raise InputError("negatives: BM25 finds no words in the documents; choose random or none")
    index = bm25s.BM25()
    index.index(tokens, show_progress=False)
    asked = bm25s.tokenize(queries, stopwords="en", return_ids=False, show_progress=False)
    best = index.retrieve(asked, k=2, return_as="documents", leave_progress=False)
    return np.where(best[:, 0] == np.arange(len(queries)), best[:, 1], best[:, 0])
