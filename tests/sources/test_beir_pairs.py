"""Training pairs from retrieval sets, and the stages of training that pairs are ingested for."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from embedlab.errors import InputError
from embedlab.pipelines.data_ingestion.parameters import DataIngestionParameters, catalog_name
from embedlab.pipelines.data_ingestion.pipeline import create_pipeline
from embedlab.pipelines.embedding_cache.pipeline import VIEWS, set_views
from embedlab.sources.beir import BeirParameters, load_beir_set
from embedlab.sources.beir_pairs import BeirPairsParameters, read_beir_pairs

# d2 and d3 are the same text; d4 is empty; nobody judged d5.
CORPUS = [
    {"_id": "d1", "title": "Rivers", "text": "Water flows."},
    {"_id": "d2", "title": "", "text": "Stone stays."},
    {"_id": "d3", "title": "Stone", "text": "stays."},
    {"_id": "d4", "title": "", "text": " "},
    {"_id": "d5", "title": "", "text": "Not judged."},
]
QUERIES = [{"_id": f"q{i}", "text": f"query {i}"} for i in range(10)]
QRELS = [("q0", "d2", 2), ("q0", "d3", 1), ("q0", "d1", 0), ("q1", "d4", 1)]
QRELS += [(f"q{i}", f"d{i % 2 + 1}", 1) for i in range(1, 10)]


def write_set(root: Path, name: str, qrels: list[tuple[str, str, int]] = QRELS) -> None:
    folder = root / name
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, CORPUS)))
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, QUERIES)))
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in qrels)]
    (folder / "qrels" / "train.tsv").write_text("\n".join(lines))


def read(root: Path, *sets: str, **options: Any) -> Any:
    raw = {"source": "beir", "sets": sets, "root": str(root), **options}
    return read_beir_pairs(BeirPairsParameters.model_validate(raw))


def test_judged_queries_are_paired_with_their_relevant_documents(tmp_path: Path) -> None:
    write_set(tmp_path, "mine")
    train, validation, documents, report = read(tmp_path, "mine")
    pairs = pd.concat([train, validation])
    assert list(train.columns) == ["query", "positive", "negative", "source"]
    assert set(zip(pairs["query"], pairs["positive"], strict=True)) == {
        ("query 0", "Stone stays."),
        *((f"query {i}", ["Rivers Water flows.", "Stone stays."][i % 2]) for i in range(1, 10)),
    }
    assert len(pairs) == 10
    assert pairs["negative"].isna().all()
    assert set(pairs["source"]) == {"mine"}
    assert documents["text"].to_pylist() == ["Rivers Water flows.", "Stone stays.", "Not judged."]
    assert len(set(documents["id"].to_pylist())) == 3
    assert (report["train_pairs"], report["validation_pairs"]) == (8, 2)
    assert report["sets"]["mine"]["empty_documents"] == 1


def test_no_validation_query_is_trained_on_in_any_set(tmp_path: Path) -> None:
    write_set(tmp_path, "mine")
    write_set(tmp_path, "other", [("q0", "d1", 1), *((f"q{i}", "d5", 1) for i in range(1, 10))])
    train, validation, documents, report = read(
        tmp_path, "mine", "other", validation_fraction=0.5, max_pairs=8
    )
    assert not set(train["query"]) & set(validation["query"])
    assert len(train) + len(validation) == 16
    assert len(documents) == 3
    assert set(report["sets"]) == {"mine", "other"}


def test_the_seed_decides_the_draws(tmp_path: Path) -> None:
    write_set(tmp_path, "mine")
    first, again, other = (read(tmp_path, "mine", max_pairs=5, seed=s)[0] for s in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert first["query"].tolist() != other["query"].tolist()


def test_cqadupstack_is_trained_on_as_its_forums(tmp_path: Path) -> None:
    for name in ("cqadupstack/gis", "cqadupstack/tex", "mine"):
        write_set(tmp_path, name)
    _, _, _, report = read(tmp_path, "cqadupstack", "mine", "cqadupstack/tex", download=False)
    assert list(report["sets"]) == ["cqadupstack/gis", "cqadupstack/tex", "mine"]


def test_ms_marco_is_evaluated_on_its_dev_split(tmp_path: Path) -> None:
    write_set(tmp_path, "msmarco")
    qrels = tmp_path / "msmarco" / "qrels"
    for split in ("dev", "test"):
        (qrels / f"{split}.tsv").write_text(f"q{len(split)}\td1\t1")
    found, _ = load_beir_set("msmarco", BeirParameters(root=str(tmp_path)))
    assert found.queries["id"].tolist() == ["q3"]
    train, validation, *_ = read(tmp_path, "msmarco")
    assert len(train) + len(validation) == 10


@pytest.mark.parametrize(
    ("qrels", "options", "message"),
    [
        (QRELS, {"split": "dev"}, r"qrels/dev\.tsv: no such file; splits there: train$"),
        ([("q1", "d4", 1), ("q2", "d1", 0)], {}, r"^mine: qrels/train\.tsv names no relevant"),
        ([("q1", "d1", 1), ("q1", "d2", 1)], {}, r"^mine: one query only; give two or more"),
        (QRELS, {"validation_fraction": 0}, r"^validation_fraction: .* \(got 0\)$"),
        (QRELS, {"sets": []}, r"^sets: .*at least 1 item"),
    ],
)
def test_what_gives_no_pairs_is_one_line(
    tmp_path: Path, qrels: list[tuple[str, str, int]], options: dict[str, Any], message: str
) -> None:
    write_set(tmp_path, "mine", qrels)
    with pytest.raises(InputError, match=message) as raised:
        read(tmp_path, **{"sets": ["mine"], "download": False, **options})
    assert "\n" not in str(raised.value)


def test_real_queries_are_shared_out(shared_data: Path) -> None:
    train, validation, documents, report = read(shared_data, "scifact", "cranfield", split="test")
    assert set(train["source"]) == set(validation["source"]) == {"scifact", "cranfield"}
    assert not set(train["query"]) & set(validation["query"])
    assert {*train["positive"], *validation["positive"]} < set(documents["text"].to_pylist())
    share = validation["query"].nunique() / (300 + 225)
    assert share == pytest.approx(0.2, abs=0.01)
    assert report["sets"]["scifact"]["documents"] == 5183


# --- stages --------------------------------------------------------------------------------------

LIBRARY_DOCS = {"source": "library_docs"}
FILES = {"source": "documents", "data": {"files": ["a.txt"]}}
SOURCES = [LIBRARY_DOCS, FILES, {"source": "msmarco"}, {"source": "beir", "sets": ["mine"]}]


def parameters(**changes: Any) -> DataIngestionParameters:
    tables = ("problem_solutions", "preference_pairs", "retrieval_pairs")
    base = {**dict.fromkeys(tables, LIBRARY_DOCS), "retrieval_sets": []}
    base["library_docs"] = {"libraries": ["kedro", "numpy"], "test_libraries": ["kedro"]}
    return DataIngestionParameters.model_validate(base | changes)


@pytest.mark.parametrize("source", SOURCES)
def test_each_stage_has_pairs_and_documents_from_any_source(source: dict[str, Any]) -> None:
    other = FILES if source == LIBRARY_DOCS else LIBRARY_DOCS
    for stage, rest in (("retrieval", "pretraining"), ("pretraining", "retrieval")):
        chosen = parameters(**{f"{stage}_pairs": source, f"{rest}_pairs": other})
        made = create_pipeline(chosen, {}).all_outputs()
        for name in ("retrieval", "pretraining"):
            assert made >= {f"{name}_pairs_train", f"{name}_pairs_val", f"{name}_documents"}
        assert (f"{stage}_pairs.ingestion_report" in made) == (source != LIBRARY_DOCS)
        name = {"retrieval": "documents", "pretraining": "pretraining_test"}[stage]
        assert (f"beir.{name}.qrels" in made) == (source == FILES)


def test_the_test_splits_of_both_stages_are_retrieval_sets() -> None:
    other = FILES | {"seed": 1}
    chosen = parameters(
        retrieval_pairs=FILES,
        pretraining_pairs=other,
        retrieval_sets=["documents", "pretraining", "mine"],
    )
    names = list(map(catalog_name, chosen.retrieval_sets))
    assert names == ["documents", "pretraining_test", "mine"]
    made = [output for node in create_pipeline(chosen, names).nodes for output in node.outputs]
    assert len(set(made)) == len(made)
    assert {f"beir.{name}.qrels" for name in names} <= set(made)
    views = [output for name in names for node in set_views(name) for output in node.outputs]
    assert not {view.removesuffix(".texts") for view in views} & set(VIEWS)


def test_without_pretraining_pairs_there_is_no_such_stage() -> None:
    made = create_pipeline(parameters(), {}).all_outputs()
    assert not any("pretraining" in name for name in made)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"retrieval_sets": ["retrieval"]}, r"^retrieval set retrieval: the training pairs"),
        ({"retrieval_sets": ["pretraining_test"]}, r"^retrieval set pretraining_test: the train"),
        ({"retrieval_sets": ["a", "pretraining"]}, r"^retrieval set pretraining needs pretrain"),
        ({"retrieval_sets": ["documents"]}, r"^retrieval set documents needs retrieval_pairs"),
        (
            {"pretraining_pairs": LIBRARY_DOCS},
            r"^pretraining_pairs are the same as retrieval_pairs",
        ),
        ({"pretraining_pairs": {"source": "web"}}, r"^pretraining_pairs: .*'web'"),
    ],
)
def test_stages_that_clash_are_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parameters(**changes)
