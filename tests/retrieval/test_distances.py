import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from embedlab.errors import InputError
from embedlab.retrieval.distances import pair_distances, summarise_distances
from embedlab.text_table import as_ids

RNG = np.random.default_rng(0)
QUERY_IDS = as_ids(f"q{i}" for i in range(20))
CORPUS_IDS = as_ids(f"d{i}" for i in range(50))
QUERIES, CORPUS = (RNG.standard_normal((n, 8)).astype(np.float32) for n in (20, 50))
# Of query i, documents i and i + 20 are relevant, i + 1 is judged irrelevant.
QRELS = pd.DataFrame(
    [
        {"query_id": f"q{i}", "corpus_id": f"d{i + step}", "score": score}
        for i in range(20)
        for step, score in ((0, 1), (20, 2), (1, 0))
    ]
)


def distances(max_pairs: int = 5000, **options: object) -> tuple[np.ndarray, np.ndarray]:
    keywords = {"qrels": QRELS, "seed": 0, "max_pairs": max_pairs, **options}
    return pair_distances(QUERIES, CORPUS, QUERY_IDS, CORPUS_IDS, **keywords)  # type: ignore[arg-type]


def between(prepare: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    queries, corpus = prepare(QUERIES), prepare(CORPUS)
    return np.linalg.norm(queries[:, None] - corpus, axis=2)


def test_relevant_distances_are_of_the_positive_judgements() -> None:
    relevant, _ = distances()
    assert relevant.dtype == np.float32
    expected = between(lambda x: x)
    rows = np.arange(20)
    wanted = np.concatenate([expected[rows, rows], expected[rows, rows + 20]])
    np.testing.assert_allclose(np.sort(relevant), np.sort(wanted), rtol=1e-5)


def test_random_pairs_are_all_the_others() -> None:
    _, random = distances()
    expected = between(lambda x: x)
    others = np.ones((20, 50), bool)
    for step in (0, 20):
        others[np.arange(20), np.arange(20) + step] = False
    # Among 5000 draws of 1000 pairs nearly every one comes up.
    found = np.unique(random)
    assert len(found) > 0.98 * others.sum()
    gaps = np.abs(found[:, None] - expected[others]).min(axis=1)
    assert gaps.max() < 1e-6
    assert len(random) == pytest.approx(5000 * 0.96, rel=0.01)


def test_cosine_models_are_compared_by_their_unit_vectors() -> None:
    relevant, _ = distances(similarity="cosine")
    units = between(lambda x: x / np.linalg.norm(x, axis=1, keepdims=True))
    rows = np.arange(20)
    wanted = np.concatenate([units[rows, rows], units[rows, rows + 20]])
    np.testing.assert_allclose(np.sort(relevant), np.sort(wanted), rtol=1e-5)


def test_pairs_are_a_seeded_sample() -> None:
    first, again, other = distances(10), distances(10), distances(10, seed=1)
    assert len(first[0]) == 10
    for kind in (0, 1):
        np.testing.assert_array_equal(first[kind], again[kind])
        assert set(first[kind]) != set(other[kind])


def test_judgements_without_vectors_are_left_out() -> None:
    missing = pd.DataFrame([{"query_id": "q0", "corpus_id": "nowhere", "score": 1}])
    both = distances(qrels=pd.concat([QRELS, missing]))
    np.testing.assert_array_equal(np.sort(both[0]), np.sort(distances()[0]))
    with pytest.raises(InputError, match="no relevant pair"):
        distances(qrels=missing)
    everything = QRELS.merge(pd.DataFrame({"corpus_id": CORPUS_IDS}), how="cross")
    everything = everything.assign(corpus_id=everything["corpus_id_y"], score=1)
    with pytest.raises(InputError, match="no irrelevant pair"):
        distances(qrels=everything)


def test_summary_says_how_often_a_relevant_pair_is_nearer() -> None:
    near, far = np.array([1, 2, 3], np.float32), np.array([2.5, 4, 5, 6], np.float32)
    summary = summarise_distances(near, far)
    json.dumps(summary, allow_nan=False)
    assert summary["auroc"] == pytest.approx(11 / 12)
    assert (summary["relevant"]["n"], summary["random"]["n"]) == (3, 4)
    assert (summary["relevant"]["mean"], summary["relevant"]["p50"]) == (2, 2)
    assert summary["random"]["max"] == 6
