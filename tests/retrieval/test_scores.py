import copy

import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from beir.retrieval.evaluation import EvaluateRetrieval
from hypothesis import given, settings
from hypothesis import strategies as st

from embedlab.errors import InputError
from embedlab.retrieval.identical import drop_identical
from embedlab.retrieval.scores import (
    metric_names,
    score_run,
    summarise_queries,
)
from embedlab.retrieval.tables import format_summaries
from embedlab.retrieval.trec import format_trec_run

CUTOFFS = (1, 3, 5, 10, 100)
# Queries and documents share their ids, and "10" sorts before "2": both have to be right.
NAMES = [str(i) for i in range(12)]
IDS = st.sampled_from(NAMES)

Nested = dict[str, dict[str, float]]


def nested(scores: st.SearchStrategy, **sizes: int) -> st.SearchStrategy[Nested]:
    return st.dictionaries(IDS, st.dictionaries(IDS, scores, min_size=1), **sizes)


# Few distinct scores, so that most results are tied with another.
RUNS = nested(st.sampled_from([-1.5, 0.0, 0.25, 2.0, 7.0]))
QRELS = nested(st.integers(0, 3), min_size=1)


def table(scores: Nested) -> pd.DataFrame:
    rows = [(q, d, score) for q, results in scores.items() for d, score in results.items()]
    return pd.DataFrame(rows, columns=["query_id", "corpus_id", "score"]).astype(
        {"query_id": object, "corpus_id": object}
    )


def in_trec_order(results: dict[str, float]) -> dict[str, float]:
    return dict(sorted(results.items(), key=lambda item: (item[1], item[0]), reverse=True))


@settings(deadline=None)
@given(RUNS, QRELS)
def test_each_metric_of_each_query_is_that_of_pytrec_eval(run: Nested, qrels: Nested) -> None:
    measures = {
        f"{name}.{','.join(map(str, CUTOFFS))}" for name in ("ndcg_cut", "map_cut", "recall", "P")
    }
    scores = score_run(table(run), table(qrels), CUTOFFS).set_index("query_id")
    expected = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    assert list(scores.index) == list(qrels)
    for query, values in expected.items():
        for ours, theirs in [("nDCG", "ndcg_cut"), ("MAP", "map_cut"), ("Recall", "recall")]:
            for k in CUTOFFS:
                assert scores.loc[query, f"{ours}@{k}"] == pytest.approx(
                    values[f"{theirs}_{k}"], abs=1e-6
                )
        for k in CUTOFFS:
            assert scores.loc[query, f"P@{k}"] == pytest.approx(values[f"P_{k}"], abs=1e-6)


@settings(deadline=None)
@given(RUNS, QRELS)
def test_mrr_is_the_reciprocal_rank_in_the_run_cut_at_k(run: Nested, qrels: Nested) -> None:
    scores = score_run(table(run), table(qrels), CUTOFFS).set_index("query_id")
    for k in CUTOFFS:
        cut = {q: dict(list(in_trec_order(results).items())[:k]) for q, results in run.items()}
        expected = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(cut)
        for query, values in expected.items():
            assert scores.loc[query, f"MRR@{k}"] == pytest.approx(values["recip_rank"], abs=1e-6)


@settings(deadline=None)
@given(RUNS, QRELS)
def test_means_are_those_of_beir_to_its_rounding(run: Nested, qrels: Nested) -> None:
    scores = score_run(drop_identical(table(run), NAMES), table(qrels), CUTOFFS)
    results = {query: in_trec_order(run.get(query, {})) for query in qrels}
    beir: dict[str, float] = {}
    for part in EvaluateRetrieval.evaluate(qrels, results, list(CUTOFFS)):
        beir |= {name.replace("NDCG", "nDCG"): value for name, value in part.items()}
    # By now beir has dropped the identical ids from `results` itself.
    beir |= EvaluateRetrieval.evaluate_custom(qrels, results, list(CUTOFFS), "mrr")
    assert set(beir) == set(metric_names(CUTOFFS))
    for name, value in beir.items():
        assert scores[name].mean() == pytest.approx(value, abs=0.51e-5)


def test_equal_scores_rank_by_id_downwards_whatever_the_rows() -> None:
    qrels = table({"q": {"b": 1}})
    for order in ("ab", "ba"):
        run = table({"q": dict.fromkeys(order, 1.0)})
        assert score_run(run, qrels, (1,))["MRR@1"].item() == 1.0
    assert score_run(table({"q": {"b": 1.0, "c": 1.0}}), qrels, (1,))["MRR@1"].item() == 0.0


def test_every_judged_query_counts_and_no_other() -> None:
    qrels = table({"found": {"a": 1}, "not found": {"a": 1}, "none relevant": {"a": 0}})
    run = table({"found": {"a": 1.0}, "none relevant": {"a": 1.0}, "not judged": {"a": 1.0}})
    scores = score_run(run, qrels, (10,))
    assert scores["query_id"].tolist() == ["found", "not found", "none relevant"]
    assert scores["nDCG@10"].tolist() == [1.0, 0.0, 0.0]


@given(RUNS, QRELS)
@settings(deadline=None, max_examples=20)
def test_inputs_are_left_as_they_are(run: Nested, qrels: Nested) -> None:
    run_table, qrels_table = table(run), table(qrels)
    before = copy.deepcopy((run_table, qrels_table))
    score_run(drop_identical(run_table, NAMES), qrels_table, CUTOFFS)
    pd.testing.assert_frame_equal(run_table, before[0])
    pd.testing.assert_frame_equal(qrels_table, before[1])


def test_summary_has_the_mean_inside_its_interval_and_prints_in_points() -> None:
    rng = np.random.default_rng(0)
    values = pd.DataFrame(rng.random((50, 2)), columns=["nDCG@10", "MRR@10"])
    values.insert(0, "query_id", [str(i) for i in range(50)])
    summary = summarise_queries(values, num_resamples=200, seed=0)
    assert summary["n_queries"] == 50
    for name in ("nDCG@10", "MRR@10"):
        assert summary[name]["mean"] == pytest.approx(values[name].mean())
        assert summary[name]["low"] < summary[name]["mean"] < summary[name]["high"]
    text = format_summaries({"toy": {"bm25": summary}}, ["nDCG@10", "MRR@10"])
    assert f"{100 * summary['nDCG@10']['mean']:.1f} [" in text
    assert text.splitlines()[1].split()[:2] == ["toy", "bm25"]


def test_trec_run_reads_back_with_the_same_scores() -> None:
    scores = np.random.default_rng(4).standard_normal(6).astype(np.float32)
    run = pd.DataFrame(
        {"query_id": list("aaabbb"), "corpus_id": list("xyzxyz"), "score": np.sort(scores)[::-1]}
    )
    lines = format_trec_run(run, "minilm").splitlines()
    assert [line.split()[3] for line in lines] == ["1", "2", "3", "1", "2", "3"]
    assert {line.split()[5] for line in lines} == {"minilm"}
    parsed = pytrec_eval.parse_run(lines)
    for query, document, score in run.itertuples(index=False):
        assert np.float32(parsed[query][document]) == score


def test_trec_run_cannot_hold_ids_with_white_space() -> None:
    with pytest.raises(InputError, match="'two words' is empty or has white space"):
        format_trec_run(table({"q": {"fine": 2.0, "two words": 1.0}}), "minilm")


def test_trec_run_of_nothing_is_empty() -> None:
    assert format_trec_run(table({}), "minilm") == ""
