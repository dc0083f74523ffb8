"""Near neighbours of texts by BM25: hard negatives for training pairs."""

from collections.abc import Sequence
from typing import Any

import bm25s
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from embedlab.errors import InputError

Indices = NDArray[np.intp]
Keys = NDArray[Any]


def near_neighbours(
    queries: Sequence[str], query_keys: Keys, texts: Sequence[str], text_keys: Keys, count: int
) -> Indices:
    """Find the texts that score highest for each query by BM25 and share none of its keys.

    The score is BM25 in Lucene's form (Robertson et al. 1994; Kamphuis et al. 2020) with k1 = 1.5
    and b = 0.75, over lower-cased words without English stop words.

    Args:
        queries: the n texts to search with.
        query_keys: shape (n, g); what makes a text too alike, such as its identity or its title.
        texts: the m texts to search in.
        text_keys: shape (m, g); a text that equals the query in any column is never its neighbour.
        count: neighbours of each query.

    Returns:
        Indices into `texts`, shape (n, count), nearest first, different within a row.

    Raises:
        InputError: if a query has fewer than `count` texts that are unlike it.
    """
    # Each column forbids at most its largest group, so that `count` allowed texts remain.
    depth = min(len(texts), count + sum(map(_largest_group, text_keys.T)))
    candidates = _ranked(queries, texts, depth)
    forbidden = (text_keys[candidates] == query_keys[:, None, :]).any(axis=2)
    if ((~forbidden).sum(axis=1) < count).any():
        raise InputError(
            f"near neighbours: a text among {len(texts)} has fewer than {count} others that differ"
            " from it: sample more texts, or ask for fewer neighbours"
        )
    allowed_first = np.argsort(forbidden, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(candidates, allowed_first, axis=1)


def _largest_group(keys: Keys) -> int:
    """How many texts share the commonest of the keys, shape (m,)."""
    return int(pd.Series(keys).value_counts().max())


def _ranked(queries: Sequence[str], texts: Sequence[str], depth: int) -> Indices:
    """The `depth` best texts of each query, best first, shape (n, depth)."""
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(list(texts), show_progress=False), show_progress=False)
    tokens = bm25s.tokenize(list(queries), show_progress=False)
    documents, _ = retriever.retrieve(
        tokens, k=depth, show_progress=False, backend_selection="numpy"
    )
    return documents.astype(np.intp)
