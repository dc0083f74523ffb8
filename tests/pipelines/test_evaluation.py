import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import pytrec_eval
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from matplotlib.figure import Figure

from embedlab.encoders.collection import corpus_texts, query_texts
from embedlab.encoders.embeddings import Embeddings
from embedlab.errors import InputError
from embedlab.pipelines.evaluation.parameters import EvaluationParameters
from embedlab.pipelines.evaluation.pipeline import EvaluationPlan, create_pipeline
from embedlab.sources.retrieval_set import RetrievalSet

COLOURS = ["red", "green", "blue", "white", "black", "brown"]


def colour_set(prefix: str, n_queries: int) -> RetrievalSet:
    """Query i asks for colour i, which document i alone has."""
    ids = [f"{prefix}{i}" for i in range(len(COLOURS))]
    texts = ["a thing of this colour"] * len(COLOURS)
    corpus = pa.table({"id": ids, "title": COLOURS, "text": texts})
    queries = pd.DataFrame({"id": ids[:n_queries], "text": COLOURS[:n_queries]})
    qrels = pd.DataFrame({"query_id": ids[:n_queries], "corpus_id": ids[:n_queries], "score": 1})
    return RetrievalSet(corpus, queries, qrels)


SETS = {"squad-dev": colour_set("s", 6), "library_docs": colour_set("l", 4)}


MODELS = ["bm25", "perfect", "useless"]


def embed(model: str, name: str, shift: int) -> dict[str, Embeddings]:
    """Vectors by which each query finds the document at its own index plus `shift`."""
    eye, found = np.eye(len(COLOURS), dtype=np.float32), SETS[name]
    vectors = {"queries": eye, "corpus": np.roll(eye, shift, axis=0)}
    texts = {"queries": query_texts(found.queries), "corpus": corpus_texts(found.corpus)}
    return {
        f"{model}.{name}_{part}.vectors": Embeddings(
            vectors[part][: len(texts[part].ids)],
            texts[part].ids,
            {},
            f"{model}.{name}_{part}",
        )
        for part in vectors
    }


def catalog(parameters: EvaluationParameters, **changes: Any) -> DataCatalog:
    entries: dict[str, Any] = {
        "params:evaluation": parameters,
        "params:evaluation.drop_identical": parameters.drop_identical,
        "params:skipped_sets": [],
    }
    for name, found in SETS.items():
        tables = {"corpus": found.corpus, "queries": found.queries, "qrels": found.qrels}
        entries |= {f"beir.{name}.{table}": rows for table, rows in tables.items()}
        entries |= embed("perfect", name, 0) | embed("useless", name, 1)
    return DataCatalog(
        {k: MemoryDataset(v, copy_mode="assign") for k, v in (entries | changes).items()}
    )


class Kept(MemoryDataset):
    """Stays when the run has no more use for it."""

    def _release(self) -> None:
        pass


def run(
    parameters: EvaluationParameters,
    models: Sequence[str] = MODELS,
    sets: Sequence[str] = tuple(SETS),
    has_ablations: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    """All that the pipeline makes; the last model is the baseline."""
    parameters = parameters.model_copy(update={"baseline": models[-1]})
    plan = EvaluationPlan(
        tuple(models),
        models[-1],
        tuple(sets),
        has_ablations=has_ablations,
        trec_runs=parameters.trec_runs,
    )
    pipeline = create_pipeline(plan)
    data = catalog(parameters, **changes)
    for name in pipeline.all_outputs():
        data[name] = Kept(copy_mode="assign")
    SequentialRunner().run(pipeline, data)
    return {name: data.load(name) for name in pipeline.all_outputs()}


# In the toy sets, a query's answer has the query's own id, but another text.
KEEP = EvaluationParameters(top_k=5, cutoffs=(1, 5), reported=("nDCG@5", "MRR@1"))


def test_every_model_is_scored_on_every_set(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "embedlab"):
        outputs = run(KEEP)
    metrics = outputs["evaluation_metrics"]
    assert {name: list(models) for name, models in metrics.items()} == {
        name: ["bm25", "perfect", "useless"] for name in SETS
    }
    for name, n_queries in {"squad-dev": 6, "library_docs": 4}.items():
        assert metrics[name]["perfect"]["n_queries"] == n_queries
        assert metrics[name]["perfect"]["nDCG@5"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
        assert metrics[name]["bm25"]["nDCG@5"]["mean"] == 1.0
        assert metrics[name]["useless"]["P@1"]["mean"] == 0.0
    assert "squad-dev" in caplog.text
    assert "100.0 [100.0, 100.0]" in caplog.text


def test_the_forums_of_cqadupstack_are_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = {"cqadupstack-gis": colour_set("g", 6), "cqadupstack-tex": colour_set("t", 2)}
    for name, found in sets.items():
        monkeypatch.setitem(SETS, name, found)
    models = ["bm25", "useless", "perfect"]
    outputs = run(KEEP, models, sets=tuple(sets))
    metrics = outputs["evaluation_metrics"]
    assert list(metrics) == [*sets, "cqadupstack"]
    for model in models:
        mean = np.mean([metrics[name][model]["nDCG@5"]["mean"] for name in sets])
        assert metrics["cqadupstack"][model]["nDCG@5"]["mean"] == pytest.approx(mean)
        assert metrics["cqadupstack"][model]["n_queries"] == 8
    table = outputs["evaluation_table_csv"].set_index(["set", "model", "metric"])
    row = table.loc[("cqadupstack", "useless", "MRR@1")]
    assert (row["n_queries"], row["mean"], row["high"], row["difference"]) == (8, 0, 0, -1)


def test_plot_has_a_group_for_each_set_and_a_bar_for_each_model() -> None:
    figure = run(KEEP)["evaluation_plot"]
    assert isinstance(figure, Figure)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == list(SETS)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "bm25",
        "perfect",
        "useless",
    ]
    assert len(axes.patches) == 2 * 3
    assert "nDCG@5" in axes.get_ylabel()


def test_identical_ids_are_dropped_and_the_run_is_as_deep_as_without() -> None:
    parameters = KEEP.model_copy(update={"drop_identical": "ids", "trec_runs": True})
    outputs = run(parameters)
    assert outputs["evaluation_metrics"]["squad-dev"]["perfect"]["nDCG@5"]["mean"] == 0.0
    parsed = pytrec_eval.parse_run(outputs["perfect.squad-dev.trec_run"].splitlines())
    assert {len(results) for results in parsed.values()} == {5}
    assert all(query not in results for query, results in parsed.items())


def test_trec_runs_score_as_reported_and_are_absent_unless_asked_for() -> None:
    assert not [name for name in run(KEEP) if name.endswith("trec_run")]
    outputs = run(KEEP.model_copy(update={"trec_runs": True}))
    qrels = {row.query_id: {row.corpus_id: 1} for row in SETS["library_docs"].qrels.itertuples()}
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.5"})
    for model in ("bm25", "perfect", "useless"):
        parsed = pytrec_eval.parse_run(outputs[f"{model}.library_docs.trec_run"].splitlines())
        scores = [values["ndcg_cut_5"] for values in evaluator.evaluate(parsed).values()]
        expected = outputs["evaluation_metrics"]["library_docs"][model]["nDCG@5"]["mean"]
        assert np.mean(scores) == pytest.approx(expected)


def precision_of(own: str | None, **similarity: str) -> float:
    """P@1 of a model that compares vectors in its own way, by which the longest is first or not."""
    long_first = np.eye(len(COLOURS), dtype=np.float32) + 0.5
    long_first[0] *= 9
    entry = "perfect.squad-dev_corpus.vectors"
    embeddings = embed("perfect", "squad-dev", 0)[entry]
    metadata = embeddings.metadata | {"similarity": own}
    changes = {entry: replace(embeddings, vectors=long_first, metadata=metadata)}
    outputs = run(KEEP.model_copy(update={"similarity": similarity}), **changes)
    metrics = outputs["evaluation_metrics"]["squad-dev"]
    assert metrics["useless"]["P@1"]["mean"] == 0
    return float(metrics["perfect"]["P@1"]["mean"])


def test_vectors_are_compared_as_the_parameters_say_or_else_the_model() -> None:
    # The right document is nearest in direction, the first one longest.
    assert precision_of(None) == precision_of("cosine") == 1
    assert precision_of("euclidean") == pytest.approx(5 / 6)
    assert precision_of("dot") == pytest.approx(1 / 6)
    assert precision_of(None, perfect="dot") == pytest.approx(1 / 6)
    assert precision_of("dot", perfect="cosine") == precision_of("manhattan", perfect="cosine") == 1


def test_a_similarity_that_evaluation_does_not_know_is_one_clear_line() -> None:
    expected = (
        "^encoder perfect: its model compares vectors by manhattan, which evaluation cannot; "
    )
    with pytest.raises(InputError, match=expected + "set evaluation.similarity.perfect to one of"):
        precision_of("manhattan")


def test_judgements_of_another_state_of_the_set_are_one_clear_line() -> None:
    qrels = SETS["squad-dev"].qrels.replace("s3", "s9")
    with pytest.raises(InputError, match="qrels name the query_id s9, which is not in the"):
        run(KEEP, **{"beir.squad-dev.qrels": qrels})


def test_sets_that_are_left_out_are_noted(caplog: pytest.LogCaptureFixture) -> None:
    notes = ["bioasq skipped: not free to download"]
    outputs = run(KEEP, **{"params:skipped_sets": notes})
    assert outputs["evaluation_metrics"]["skipped"] == notes
    assert notes[0] in caplog.messages


def test_every_other_model_is_compared_with_the_baseline() -> None:
    outputs = run(KEEP)
    comparison = outputs["evaluation_comparison"]
    assert comparison["baseline"] == "useless"
    for name, n_queries in {"squad-dev": 6, "library_docs": 4}.items():
        cell = comparison["sets"][name]["perfect"]["MRR@1"]
        assert (cell["wins"], cell["losses"], cell["ties"]) == (n_queries, 0, 0)
        assert cell["difference"] == cell["low"] == cell["high"] == 1.0
        # Of 2^n flips of signs, all and none are as extreme.
        assert cell["p_value"] == 2 / 2**n_queries
        assert comparison["sets"][name]["useless"] == {
            metric: {"mean": outputs["evaluation_metrics"][name]["useless"][metric]["mean"]}
            for metric in KEEP.reported
        }
    assert "double dagger" in outputs["evaluation_table"]
    assert r"library\_docs" in outputs["evaluation_table"]
    table = outputs["evaluation_table_csv"].set_index(["set", "model", "metric"])
    assert len(table) == 3 * 3 * 2
    assert table.loc[("squad-dev", "perfect", "MRR@1"), "wins"] == 6
    assert table.loc[("average", "perfect", "MRR@1"), "difference"] == 1.0


def test_isotropy_is_measured_of_each_dense_model_and_drawn_for_the_first_set() -> None:
    outputs = run(KEEP)
    metrics = outputs["isotropy_metrics"]
    assert {name: list(models) for name, models in metrics.items()} == {
        name: ["perfect", "useless"] for name in SETS
    }
    assert metrics["squad-dev"]["perfect"]["norm"]["mean"] == 1.0
    assert metrics["squad-dev"]["perfect"]["distances"]["auroc"] == 1.0
    assert metrics["squad-dev"]["useless"]["distances"]["auroc"] < 0.5
    assert r"library\_docs & useless" in outputs["isotropy_table"]
    titles = [axes.get_title() for axes in outputs["isotropy_distance_plot"].axes]
    assert titles[0].startswith("perfect, squad-dev")
    for name in ("spectrum", "norm"):
        assert isinstance(outputs[f"isotropy_{name}_plot"], Figure)


def test_examples_are_the_queries_that_change_most() -> None:
    examples = run(KEEP.model_copy(update={"max_examples": 2}))["library_docs.evaluation_examples"]
    assert list(examples["models"]) == ["bm25", "perfect"]
    own = examples["models"]["perfect"]
    assert [one["query"] for one in own["wins"]] == ["red", "green"]
    assert own["losses"] == []
    first = own["wins"][0]
    assert first["model"]["ranks"] == {"l0": 1}
    assert first["model"]["top"][0] == {
        "id": "l0",
        "relevance": 1,
        "text": "red a thing of this colour",
    }
    assert first["baseline"]["top"][0]["relevance"] is None


def test_lexical_search_alone_has_no_isotropy_and_no_comparison() -> None:
    outputs = run(KEEP, ["bm25"], ["squad-dev"])
    assert "isotropy_metrics" not in outputs
    assert "squad-dev.evaluation_examples" not in outputs
    assert outputs["evaluation_table_csv"]["model"].unique().tolist() == ["bm25"]


def test_the_projection_is_searched_by_distance_and_judged() -> None:
    entries: dict[str, Any] = {}
    for name in SETS:
        entries |= embed("isotropic", name, 0)
        # The first document lies far out: no query is near it, in whatever direction it is.
        entries[f"isotropic.{name}_corpus.vectors"].vectors[0] *= 9
    entries["isotropic_summary"] = {"seconds": 3.5}
    pairs = next(iter(SETS.values())).relevant_pairs().rename(columns={"document": "positive"})
    entries |= {"retrieval_pairs_train": pairs[:1], "retrieval_pairs_val": pairs[1:2]}
    variants = ("base", "full", "without isotropy")
    entries["isotropic_ablations"] = [{"variant": name} for name in variants]
    outputs = run(KEEP, ["bm25", "isotropic", "useless"], has_ablations=True, **entries)
    own = outputs["evaluation_metrics"]["squad-dev"]["isotropic"]
    assert own["P@1"]["mean"] == pytest.approx(5 / 6)
    assert list(outputs["squad-dev.evaluation_examples"]["models"]) == ["isotropic"]
    counts = outputs["evaluation_unseen"]["counts"]
    assert sum(own["seen"] for own in counts.values()) >= 2  # to train, and to choose weights
    levels = outputs["success_criteria"]
    lines = {line["criterion"]: line for level in levels.values() for line in level["criteria"]}
    assert lines["training time documented"]["measured"] == 3.5
    assert lines["ablation studies of 1 or more variants"]["measured"] == 2
    assert lines["isotropy score > 0.90"]["verdict"] == "fail"


def test_nothing_to_evaluate_is_no_pipeline() -> None:
    assert not create_pipeline(EvaluationPlan(("perfect",), "perfect", ())).nodes


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"cutoffs": [10, 1000]}, "none above top_k 100"),
        ({"cutoffs": [0]}, "cutoffs.0: .*greater than or equal to 1"),
        ({"reported": ["nDCG@7"]}, "reported must be of nDCG@1, "),
        ({"similarity": {"minilm": "manhattan"}}, "similarity.minilm: "),
        ({"top-k": 5}, "top-k: no such parameter"),
        ({"bm25": {"k2": 1}}, "bm25.k2: no such parameter"),
        ({"models": ["bm25", "bm25"]}, "models: one is named twice"),
        ({"models": ["bm25"], "baseline": "minilm"}, "baseline minilm is not in models .bm25."),
    ],
)
def test_parameters_that_cannot_be_are_one_clear_line(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        EvaluationParameters.model_validate(raw)
