import json
import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support import messages_of

from embedlab.errors import InputError
from embedlab.search.exact import Similarity, exact_search, exact_top_k
from embedlab.search.inverted_file import InvertedFile, approximate_search
from embedlab.text_table import Ids, as_ids

SIMILARITIES: list[Similarity] = ["cosine", "dot", "euclidean"]


def clustered(num_queries: int, num_documents: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Queries and documents around 100 centres, of unequal lengths."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((100, 16))
    parts = []
    for count in (num_queries, num_documents):
        noise = 0.4 * rng.standard_normal((count, 16))
        vectors = (centres[rng.integers(100, size=count)] + noise) * rng.uniform(1, 1.5, (count, 1))
        parts.append(vectors.astype(np.float32))
    return parts[0], parts[1]


def ids(prefix: str, vectors: np.ndarray) -> Ids:
    return as_ids(f"{prefix}{i}" for i in range(len(vectors)))


def search(
    queries: np.ndarray, corpus: Any, top_k: int, *options: Any
) -> tuple[pd.DataFrame, dict[str, Any]]:
    names = ids("q", queries), ids("d", corpus)
    return approximate_search(queries, corpus, *names, top_k, *options)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_the_recall_that_is_reported_is_that_of_all_queries(similarity: Similarity) -> None:
    queries, corpus = clustered(1000, 6000)
    run, report = search(queries, corpus, 20, similarity, 0.9)
    exact = exact_search(queries, corpus, ids("q", queries), ids("d", corpus), 20, similarity)
    found = run.merge(exact, on=["query_id", "corpus_id"])
    np.testing.assert_allclose(found["score_x"], found["score_y"], rtol=1e-3, atol=1e-3)
    recall = len(found) / len(exact)
    assert 0.88 < recall < 1
    assert report.pop("recall@20") == pytest.approx(recall, abs=0.03)
    assert report.pop("num_searched") < 0.4 * report["num_cells"]
    assert report == {
        "method": "inverted file",
        "num_documents": 6000,
        "num_cells": 77,
        "num_sampled_queries": 200,
    }
    for _, scores in run.groupby("query_id")["score"]:
        assert scores.is_monotonic_decreasing


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_all_cells_together_give_what_exact_search_does(
    similarity: Similarity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedlab.search.inverted_file.CHUNK_SIZE", 30)
    monkeypatch.setattr("embedlab.search.inverted_file.QUERY_BLOCK", 7)
    queries, corpus = clustered(50, 2000)
    file = InvertedFile.build(corpus, similarity, 0)
    best = file.search(queries, 10, len(file.centroids))
    expected = exact_top_k(queries, corpus, 10, similarity)
    np.testing.assert_array_equal(best.columns, expected.columns)
    np.testing.assert_allclose(best.scores, expected.scores, rtol=1e-3, atol=1e-3)


def test_more_recall_takes_more_cells_and_the_seed_decides_the_rest() -> None:
    queries, corpus = clustered(300, 3000)
    little, again, much = (search(queries, corpus, 10, "dot", r) for r in (0.5, 0.5, 0.99))
    pd.testing.assert_frame_equal(little[0], again[0])
    assert little[1] == again[1]
    assert little[1]["num_searched"] < much[1]["num_searched"]
    assert little[1]["recall@10"] < much[1]["recall@10"]


def test_cells_that_hold_fewer_than_asked_for_give_fewer() -> None:
    corpus = np.eye(2, dtype=np.float32).repeat([390, 40], axis=0)
    file = InvertedFile.build(corpus, "dot", 0)
    best = file.search(corpus[-1:], 100, 1)
    assert (best.columns >= 0).sum() < 100
    assert best.scores.isinf().sum() == (best.columns < 0).sum()
    run, report = search(corpus[-1:], corpus, 100, "dot", 0.3)
    assert not run["score"].isna().any()
    assert np.isfinite(run["score"]).all()
    json.dumps(report, allow_nan=False)


@pytest.mark.parametrize("num_documents", [1, 30, 400])
def test_equal_vectors_and_few_are_searched_too(num_documents: int) -> None:
    corpus = np.ones((num_documents, 4), dtype=np.float32)
    run, report = search(corpus[:1], corpus, 10, "euclidean")
    assert len(run) == min(10, num_documents)
    assert (run["score"] == 0).all()
    assert 0 <= report["recall@10"] <= 1


def test_what_was_decided_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "embedlab"):
        _, report = search(*clustered(50, 2000), 10)
    (message,) = messages_of(caplog)
    assert f"{report['num_searched']} of {report['num_cells']} cells" in message
    assert f"recall@10 {report['recall@10']:.4f}" in message


def test_other_dimensions_are_one_clear_line() -> None:
    with pytest.raises(InputError, match="queries have 3 dimensions and documents 4"):
        search(np.ones((1, 3), np.float32), np.ones((1, 4), np.float32), 1)
