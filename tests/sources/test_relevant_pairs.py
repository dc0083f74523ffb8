import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from embedlab.encoders.collection import pair_texts
from embedlab.errors import InputError
from embedlab.sources.novelty_pairs import NoveltyPairsParameters, make_novelty_pairs
from embedlab.sources.problem_solution import (
    ProblemSolutionParameters,
    RelevantPairsParameters,
    read_problem_solutions,
    read_relevant_pairs,
)

CORPUS = [
    {"_id": "d1", "title": "Rivers", "text": "Water flows."},
    {"_id": "d2", "text": "Rain falls."},
    {"_id": "d3", "title": "Hills", "text": "Stones rest."},
]
QUERIES = [{"_id": "q1", "text": "What moves?"}, {"_id": "q2", "text": "What stays?"}]
JUDGEMENTS = {
    "test": [("q2", "d3", 1), ("q1", "d2", 1), ("q1", "d3", 0), ("q1", "d1", 2)],
    "train": [("q2", "d1", -1), ("q2", "d3", 1)],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of two BEIR sets that are alike."""
    for name in ("mini", "other"):
        (tmp_path / name / "qrels").mkdir(parents=True)
        for file, rows in (("corpus", CORPUS), ("queries", QUERIES)):
            (tmp_path / name / f"{file}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        for split, judgements in JUDGEMENTS.items():
            lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, j)) for j in judgements)]
            (tmp_path / name / "qrels" / f"{split}.tsv").write_text("\n".join(lines))
    return tmp_path


def relevant(root: Path, *sets: str, **options: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
    return read_relevant_pairs(RelevantPairsParameters(sets=sets, root=str(root), **options))


def test_each_relevant_document_is_a_solution_of_its_query(root: Path) -> None:
    pairs, reports = relevant(root, "mini")
    assert pairs.to_dict("split")["data"] == [
        ["mini-q2-d3", "What stays?", "Hills Stones rest.", "mini", "test"],
        ["mini-q1-d2", "What moves?", "Rain falls.", "mini", "test"],
        ["mini-q1-d1", "What moves?", "Rivers Water flows.", "mini", "test"],
    ]
    assert list(pairs.columns) == ["id", "problem", "solution", "source", "split"]
    assert (reports["mini"]["documents"], reports["mini"]["judgements"]) == (3, 4)


def test_sets_are_read_one_after_the_other_in_the_split_asked_for(root: Path) -> None:
    pairs, reports = relevant(root, "other", "mini", split="train")
    assert pairs["id"].tolist() == ["other-q2-d3", "mini-q2-d3"]
    assert set(pairs["split"]) == {"train"}
    assert pairs.index.tolist() == [0, 1]
    assert list(reports) == ["other", "mini"]


def test_cqadupstack_stands_for_its_forums(root: Path) -> None:
    (root / "cqadupstack").mkdir()
    for name in ("mini", "other"):
        (root / name).rename(root / "cqadupstack" / name)
    pairs, reports = relevant(root, "cqadupstack", download=False)
    assert list(reports) == ["cqadupstack/mini", "cqadupstack/other"]
    assert len(pairs) == 6


def test_a_missing_set_or_split_is_named(root: Path) -> None:
    with pytest.raises(InputError, match=r"/absent: no such BEIR set"):
        relevant(root, "mini", "absent", download=False)
    with pytest.raises(InputError, match=r"qrels/dev\.tsv: no such file; splits there: test, tr"):
        relevant(root, "mini", split="dev")


def test_a_bad_judgement_is_named_or_left_out_and_reported(root: Path) -> None:
    with (root / "mini" / "qrels" / "test.tsv").open("a") as file:
        file.write("\nq1\td9\t1")
    with pytest.raises(InputError, match=r"test\.tsv:6: unknown document \('d9'\)"):
        relevant(root, "mini")
    pairs, reports = relevant(root, "mini", on_error="skip")
    assert (len(pairs), reports["mini"]["skipped"]) == (3, 1)


@pytest.fixture
def with_relevant_pairs(root: Path) -> pd.DataFrame:
    """Ten problems to train on, then the relevant pairs of two sets."""
    rows = [{"question": f"{n} + {n}?", "answer": str(2 * n)} for n in range(10)]
    (root / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    parameters = {
        "data": [{"files": [str(root / "sums.jsonl")]}],
        "relevant_pairs": {"sets": ["mini", "other"], "root": str(root)},
    }
    pairs, report = read_problem_solutions(ProblemSolutionParameters.model_validate(parameters))
    assert (report["kept"], list(report["relevant_pairs"])) == (10, ["mini", "other"])
    return pairs


def test_relevant_pairs_stand_after_the_data_and_are_out_of_distribution(
    with_relevant_pairs: pd.DataFrame,
) -> None:
    assert with_relevant_pairs["source"].tolist() == ["sums"] * 10 + ["mini"] * 3 + ["other"] * 3
    assert with_relevant_pairs.index.tolist() == list(range(16))
    pairs = make_novelty_pairs(with_relevant_pairs, NoveltyPairsParameters())
    assert pairs["set"].value_counts().to_dict() == {
        "train": 8,
        "held_out": 2,
        "shuffled": 2,
        "out_of_distribution": 2,
    }


def test_the_pairs_of_all_sets_can_be_embedded(with_relevant_pairs: pd.DataFrame) -> None:
    pairs = make_novelty_pairs(with_relevant_pairs, NoveltyPairsParameters())
    texts = pair_texts(pairs)
    assert len(texts.ids) == 14
    assert texts.parts == [pairs["problem"].tolist(), pairs["solution"].tolist()]


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_relevant_pairs_of_scifact_are_its_judgements(shared_data: Path, split: str) -> None:
    pairs, reports = relevant(shared_data, "scifact", split=split)
    with (shared_data / "scifact" / "qrels" / f"{split}.tsv").open() as file:
        judged = [(query, document) for query, document, _ in csv.reader(file, delimiter="\t")][1:]
    assert pairs["id"].tolist() == [f"scifact-{query}-{document}" for query, document in judged]
    assert reports["scifact"]["judgements"] == len(judged)
    assert pairs["id"].is_unique
    assert (pairs[["problem", "solution"]].map(str.strip) != "").all(axis=None)
