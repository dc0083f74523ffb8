"""Distances of relevant pairs of query and document, compared with those of random pairs."""

from typing import Any

import numpy as np
import pandas as pd

from embedlab.errors import InputError
from embedlab.retrieval.isotropy import unit_rows
from embedlab.search.exact import Similarity
from embedlab.statistics.description import describe_values
from embedlab.statistics.detection import auroc
from embedlab.statistics.intervals import blocks
from embedlab.text_table import Ids, find_rows


def pair_distances(
    queries: np.ndarray,
    corpus: np.ndarray,
    query_ids: Ids,
    corpus_ids: Ids,
    qrels: pd.DataFrame,
    max_pairs: int,
    seed: int,
    similarity: Similarity = "euclidean",
) -> tuple[np.ndarray, np.ndarray]:
    """Compute Euclidean distances of relevant and of random pairs of a query and a document.

    At most `max_pairs` of each kind: a random sample of the relevant pairs, whose score in the
    qrels is above 0, and this many random pairs, of which relevant ones are dropped. For cosine,
    vectors are L2-normalised first. Of a memory map, only the rows of the pairs are read.

    Shape:
        - queries: `(q, d)`
        - corpus: `(n, d)`

    Returns:
        Distances of the relevant pairs `(a,)` and of the random pairs `(b,)`, float32.

    Raises:
        InputError: if no relevant pair has vectors, or every random pair is relevant.
    """
    rng = np.random.default_rng(seed)
    relevant = _relevant_pairs(query_ids, corpus_ids, qrels)
    drawn = rng.integers([len(queries), len(corpus)], size=(max_pairs, 2))
    drawn_codes, relevant_codes = (pairs @ [len(corpus), 1] for pairs in (drawn, relevant))
    irrelevant = drawn[~np.isin(drawn_codes, relevant_codes)]
    for kind, pairs in (("relevant", relevant), ("irrelevant", irrelevant)):
        if not len(pairs):
            raise InputError(f"the vectors hold no {kind} pair: check that qrels and ids match")
    if len(relevant) > max_pairs:
        relevant = rng.choice(relevant, max_pairs, replace=False)
    of_relevant = _distances(queries, corpus, relevant, similarity)
    return of_relevant, _distances(queries, corpus, irrelevant, similarity)


def summarise_distances(relevant: np.ndarray, random: np.ndarray) -> dict[str, Any]:
    """Summarise the distances of relevant pairs `(a,)` and of random pairs `(b,)`.

    Returns:
        `relevant` and `random`, each with n, mean, std, min, max and percentiles p5 to p95; and
        `auroc`, the probability that a relevant pair is closer than a random one.

    Example:
        >>> summarise_distances(np.array([1.0, 2.0]), np.array([1.5, 3.0]))["auroc"]
        0.75
    """
    return {
        "relevant": {"n": len(relevant), **describe_values(relevant)},
        "random": {"n": len(random), **describe_values(random)},
        "auroc": auroc(random, relevant),
    }


def _relevant_pairs(query_ids: Ids, corpus_ids: Ids, qrels: pd.DataFrame) -> np.ndarray:
    """Rows of query and document `(r, 2)` of each relevant pair that has vectors."""
    relevant = qrels[qrels["score"] > 0]
    columns = ((query_ids, "query_id"), (corpus_ids, "corpus_id"))
    rows = [find_rows(ids, relevant[column]) for ids, column in columns]
    pairs = np.column_stack(rows)
    return pairs[(pairs >= 0).all(axis=1)]


def _distances(
    queries: np.ndarray, corpus: np.ndarray, pairs: np.ndarray, similarity: Similarity
) -> np.ndarray:
    distances = np.empty(len(pairs), dtype=np.float32)
    for rows in blocks(len(pairs), queries.shape[1]):
        query, document = pairs[rows.start : rows.stop].T
        a, b = np.array(queries[query], np.float32), np.array(corpus[document], np.float32)
        if similarity == "cosine":
            a, b = unit_rows(a), unit_rows(b)
        distances[rows.start : rows.stop] = np.linalg.norm(a - b, axis=1)
    return distances
