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
    """Find the texts that score highest for each query by BM25 and have another key than it.

    The score is BM25 in Lucene's form (Robertson et al. 1994; Kamphuis et al. 2020) with k1 = 1.5
    and b = 0.75, over lower-cased words without English stop words.

    Args:
        queries: the n texts to search with.
        query_keys: shape (n,); what makes a text too alike, such as its identity or its title.
        texts: the m texts to search in.
        text_keys: shape (m,); a text with the query's key is never its neighbour.
        count: neighbours of each query.

    Returns:
        Indices into `texts`, shape (n, count), nearest first, different within a row.

    Raises:
        InputError: if a query has fewer than `count` texts that are unlike it, or if the texts
            hold no words.
    """
    if not len(queries):
        return np.empty((0, count), dtype=np.intp)
    alike = pd.Series(text_keys).value_counts().reindex(query_keys, fill_value=0).max()
    if len(texts) - alike < count:
        raise InputError(
            f"near neighbours: a text among {len(texts)} has fewer than {count} others that differ"
            " from it: sample more texts, or ask for fewer neighbours"
        )
    candidates = _ranked(queries, texts, count + int(alike))
    forbidden = text_keys[candidates] == query_keys[:, None]
    allowed_first = np.argsort(forbidden, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(candidates, allowed_first, axis=1)


def _ranked(queries: Sequence[str], texts: Sequence[str], depth: int) -> Indices:
    """The `depth` best texts of each query, best first, shape (n, depth)."""
    words = bm25s.tokenize(list(texts), show_progress=False)
    if not any(map(len, words.ids)):
        raise InputError("near neighbours: the texts hold no words that BM25 could compare")
    retriever = bm25s.BM25()
    retriever.index(words, show_progress=False)
    tokens = bm25s.tokenize(list(queries), show_progress=False)
    documents, _ = retriever.retrieve(
        tokens, k=depth, show_progress=False, backend_selection="numpy"
    )
    return documents.astype(np.intp)
