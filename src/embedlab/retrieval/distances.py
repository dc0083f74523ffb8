"""How far apart relevant queries and documents are, beside random ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from embedlab.errors import InputError
from embedlab.search.exact import Similarity
from embedlab.statistics.description import describe
from embedlab.statistics.detection import auroc
from embedlab.statistics.intervals import blocks


def pair_distances(
    queries: np.ndarray,
    corpus: np.ndarray,
    query_ids: Sequence[str],
    corpus_ids: Sequence[str],
    qrels: pd.DataFrame,
    n_pairs: int,
    seed: int,
    similarity: Similarity = "euclidean",
) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean distances of relevant and of random pairs of a query and a document.

    Args:
        queries: `(q, d)`.
        corpus: `(n, d)`; may be a memory map, of which only the pairs' rows are read.
        query_ids: the q identifiers of the queries.
        corpus_ids: the n identifiers of the documents.
        qrels: columns query_id, corpus_id, score; relevant if the score is above 0.
        n_pairs: pairs of each kind, at most; of more relevant pairs a random sample is taken, and
            random pairs that are relevant are left out.
        seed: of the pairs.
        similarity: what the model is searched by; for cosine, vectors are L2-normalised first.

    Returns:
        Distances of the relevant pairs `(a,)` and of the random ones `(b,)`, float32.

    Raises:
        InputError: if no relevant pair, or none that is not relevant, is among the vectors.
    """
    rng = np.random.default_rng(seed)
    relevant = _relevant_pairs(query_ids, corpus_ids, qrels)
    drawn = rng.integers([len(queries), len(corpus)], size=(n_pairs, 2))
    numbers, known = (pairs @ [len(corpus), 1] for pairs in (drawn, relevant))
    irrelevant = drawn[~np.isin(numbers, known)]
    for kind, pairs in (("relevant", relevant), ("irrelevant", irrelevant)):
        if not len(pairs):
            raise InputError(f"the vectors hold no {kind} pair: check that qrels and ids match")
    if len(relevant) > n_pairs:
        relevant = rng.choice(relevant, n_pairs, replace=False)
    return (
        _distances(queries, corpus, relevant, similarity),
        _distances(queries, corpus, irrelevant, similarity),
    )


def summarise_distances(relevant: np.ndarray, random: np.ndarray) -> dict[str, Any]:
    """What the distances of relevant pairs `(a,)` and of random ones `(b,)` come to.

    Returns:
        `relevant` and `random`, each with n, mean, std, min, max and percentiles p5 to p95; and
        `auroc`, the chance that a relevant pair is nearer than a random one.
    """
    return {
        "relevant": {"n": len(relevant), **describe(relevant)},
        "random": {"n": len(random), **describe(random)},
        "auroc": auroc(random, relevant),
    }


def _relevant_pairs(
    query_ids: Sequence[str], corpus_ids: Sequence[str], qrels: pd.DataFrame
) -> np.ndarray:
    """Row numbers of query and document `(r, 2)` of the relevant pairs that have vectors."""
    judged = qrels[qrels["score"] > 0]
    rows = [
        pd.Index(ids).get_indexer(pd.Index(judged[column]))
        for ids, column in ((query_ids, "query_id"), (corpus_ids, "corpus_id"))
    ]
    pairs = np.column_stack(rows)
    return pairs[(pairs >= 0).all(axis=1)]


def _distances(
    queries: np.ndarray, corpus: np.ndarray, pairs: np.ndarray, similarity: Similarity
) -> np.ndarray:
    distances = np.empty(len(pairs), dtype=np.float32)
    for rows in blocks(len(pairs), queries.shape[1]):
        query, document = pairs[rows.start : rows.stop].T
        ends = [np.array(queries[query], np.float32), np.array(corpus[document], np.float32)]
        if similarity == "cosine":
            ends = [end / _nonzero_norms(end) for end in ends]
        distances[rows.start : rows.stop] = np.linalg.norm(ends[0] - ends[1], axis=1)
    return distances


def _nonzero_norms(vectors: np.ndarray) -> np.ndarray:
    """Norms `(m, 1)`, 1 for a null vector, which then stays null."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(norms > 0, norms, 1)
