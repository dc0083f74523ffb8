"""Exact evaluation from cached vectors against beir's own, with the same vectors and metrics.

pytest tests/benchmarks/test_evaluation.py -n 0 -s
"""

import numpy as np
import pandas as pd
import pytest
import torch
from beir.retrieval.evaluation import EvaluateRetrieval
from beir.retrieval.search.dense import DenseRetrievalExactSearch
from support import ratio_to_peer

from embedlab.retrieval.identical import drop_identical
from embedlab.retrieval.scores import score_run
from embedlab.search.exact import exact_search
from embedlab.text_table import as_ids

N_DOCUMENTS, N_QUERIES, DIMENSION, TOP_K = 50_000, 300, 384, 100
CUTOFFS = (1, 3, 5, 10, 100)
QUERY_IDS = [f"q{i}" for i in range(N_QUERIES)]
CORPUS_IDS = [f"d{i}" for i in range(N_DOCUMENTS)]


class CachedModel:
    """What beir asks for vectors: it gives the cached ones, in the order that it is asked."""

    def __init__(self, queries, corpus):
        self.queries, self.corpus = torch.from_numpy(queries), torch.from_numpy(corpus)

    def encode_queries(self, queries, **options):
        return self.queries

    def encode_corpus(self, documents, **options):
        # The texts are equally long, so that beir's sort by length leaves their order.
        first = int(documents[0]["text"])
        return self.corpus[first : first + len(documents)]


@pytest.fixture(scope="module")
def problem():
    """Queries lie near three of the documents each, which are judged 1, 2 and 3."""
    rng = np.random.default_rng(0)
    corpus = rng.standard_normal((N_DOCUMENTS, DIMENSION), dtype=np.float32)
    relevant = rng.choice(N_DOCUMENTS, (N_QUERIES, 3), replace=False)
    queries = 0.15 * corpus[relevant].sum(axis=1)
    queries += rng.standard_normal((N_QUERIES, DIMENSION), dtype=np.float32)
    qrels = pd.DataFrame(
        {
            "query_id": np.repeat(QUERY_IDS, 3),
            "corpus_id": [f"d{i}" for i in relevant.ravel()],
            "score": np.tile([1, 2, 3], N_QUERIES),
        }
    )
    return queries, corpus, qrels


def ours(queries, corpus, qrels):
    run = exact_search(queries, corpus, as_ids(QUERY_IDS), as_ids(CORPUS_IDS), TOP_K + 1, "cosine")
    run = drop_identical(run, QUERY_IDS).groupby("query_id", sort=False).head(TOP_K)
    return score_run(run, qrels, CUTOFFS)


def with_beir(model, documents, queries, qrels):
    search = DenseRetrievalExactSearch(model, show_progress_bar=False)
    evaluation = EvaluateRetrieval(search, list(CUTOFFS), "cos_sim")
    results = evaluation.retrieve(documents, queries)
    parts = evaluation.evaluate(qrels, results, list(CUTOFFS))
    mrr = evaluation.evaluate_custom(qrels, results, list(CUTOFFS), "mrr")
    return {name: value for part in (*parts, mrr) for name, value in part.items()}


def test_exact_evaluation_beats_beir(benchmark, problem):
    queries, corpus, qrels = problem
    documents = {name: {"title": "", "text": f"{i:05d}"} for i, name in enumerate(CORPUS_IDS)}
    texts = dict.fromkeys(QUERY_IDS, "")
    nested = {
        query: dict(zip(rows["corpus_id"], rows["score"].tolist(), strict=True))
        for query, rows in qrels.groupby("query_id", sort=False)
    }
    model = CachedModel(queries, corpus)

    def peer():
        return with_beir(model, documents, texts, nested)

    median = ratio_to_peer(benchmark, lambda: ours(*problem), peer, rounds=15)
    scores, expected = ours(*problem).mean(numeric_only=True), peer()
    ratios = ", ".join(f"{ratio:.2f}" for ratio in benchmark.extra_info["ratios"])
    print(f"\n{N_DOCUMENTS} x {DIMENSION}, {N_QUERIES} queries: {median:.2f}x beir ({ratios})")
    print(f"ours: median {benchmark.stats.stats.median:.2f} s")
    for name, value in expected.items():
        assert scores[name.replace("NDCG", "nDCG")] == pytest.approx(value, abs=1e-5)
    assert 0.1 < expected["NDCG@10"] < 0.9
    assert median >= 1.5
