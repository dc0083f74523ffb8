import csv
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import messages_of

from embedlab.encoders.collection import pair_texts
from embedlab.errors import InputError
from embedlab.sources.novelty_pairs import SETS, NoveltyPairsParameters, make_novelty_pairs
from embedlab.sources.problem_solution import ProblemSolutionParameters, read_problem_solutions
from embedlab.sources.relevant_pairs import RelevantPairsParameters, read_relevant_pairs

# Few problems, sources and splits, so that problems come back in another source and split; every
# solution is another one.
ROWS = st.lists(
    st.tuples(
        st.sampled_from("pqrstu"), st.sampled_from("ABC"), st.sampled_from(["train", "test"])
    ),
    max_size=24,
)

# A division takes some 10 ms.
few_examples = settings(max_examples=20, deadline=None)


def usable(rows: list[tuple[str, str, str]]) -> bool:
    """Whether there is a problem to train on and, beside it, two to hold out and shuffle.

    Where no other problem is there, half of those to train on are held out.
    """
    trained = {source for _, source, split in rows if split == "train"}
    train = {problem for problem, _, split in rows if split == "train"}
    others = {problem for problem, source, _ in rows if source in trained} - train
    return len(others) > 1 or (not others and len(train) > 2)


def table(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    """Problems with solutions from rows (problem, source, split)."""
    numbered = [(str(n), f"solution {n}", *row) for n, row in enumerate(rows)]
    return pd.DataFrame(numbered, columns=["id", "solution", "problem", "source", "split"])


def single(n_problems: int, split: str = "train", source: str = "A") -> list[tuple[str, str, str]]:
    """Rows of problems with one solution each."""
    return [(f"{split} {source} {n}", source, split) for n in range(n_problems)]


PAIRS = ROWS.filter(usable).map(table)


def divide(pairs: pd.DataFrame, **options: Any) -> dict[str, pd.DataFrame]:
    """The rows of each set, and none for an absent one."""
    made = make_novelty_pairs(pairs, NoveltyPairsParameters(**options))
    assert list(made.columns) == ["id", "problem", "solution", "source", "set"]
    assert made["set"].tolist() == sorted(made["set"], key=SETS.index)
    assert made["id"].is_unique
    return {name: made[made["set"] == name] for name in SETS}


def rows_of(pairs: pd.DataFrame) -> set[tuple[str, ...]]:
    return set(pairs[["id", "problem", "solution", "source"]].itertuples(index=False, name=None))


# --- what each set consists of -------------------------------------------------------------------


@few_examples
@given(ROWS)
def test_it_is_an_error_exactly_if_there_is_too_little_to_train_on_or_to_hold_out(rows) -> None:
    if usable(rows):
        sets = divide(table(rows), held_out=0.5)
        assert all(len(sets[name]) for name in ("train", "held_out", "shuffled"))
    else:
        with pytest.raises(InputError, match=r"^problem_solutions: \d pairs to train on, \d to"):
            divide(table(rows), held_out=0.5)


@few_examples
@given(PAIRS)
def test_problems_are_trained_on_or_held_out_and_never_both(pairs) -> None:
    sets = divide(pairs, held_out=0.5)
    train, held_out = sets["train"]["problem"], sets["held_out"]["problem"]
    assert train.is_unique
    assert held_out.is_unique
    assert not set(train) & set(held_out)
    own = pairs[pairs["source"].isin(pairs.loc[pairs["split"] == "train", "source"])]
    assert set(train) | set(held_out) == set(own["problem"])


@few_examples
@given(PAIRS)
def test_the_first_training_solution_is_trained_on_and_the_others_are_other_solutions(
    pairs,
) -> None:
    sets = divide(pairs, held_out=0.5)
    trained = pairs[pairs["split"] == "train"]
    firsts = {row.problem: row.id for row in trained[::-1].itertuples()}
    assert dict(zip(sets["train"]["problem"], sets["train"]["id"], strict=True)).items() <= (
        firsts.items()
    )
    of_these = pairs[
        pairs["problem"].isin(sets["train"]["problem"]) & pairs["source"].isin(trained["source"])
    ]
    others = of_these[~of_these["id"].isin(sets["train"]["id"])]
    assert rows_of(sets["other_solutions"]) == rows_of(others)


@few_examples
@given(PAIRS)
def test_sources_without_a_training_row_are_out_of_distribution(pairs) -> None:
    sets = divide(pairs, held_out=0.5)
    trained = pairs["source"].isin(pairs.loc[pairs["split"] == "train", "source"])
    known = pairs["problem"].isin([*sets["train"]["problem"], *sets["held_out"]["problem"]])
    abroad = pairs[~trained & ~known].drop_duplicates("problem")
    assert rows_of(sets["out_of_distribution"]) == rows_of(abroad)
    for name in ("train", "held_out", "other_solutions"):
        assert rows_of(sets[name]) <= rows_of(pairs[trained])


@few_examples
@given(PAIRS)
def test_every_held_out_problem_is_given_the_solution_of_another(pairs) -> None:
    sets = divide(pairs, held_out=0.5)
    held_out, shuffled = sets["held_out"], sets["shuffled"]
    own = held_out.set_index("problem").loc[shuffled["problem"]]
    assert not (own["solution"].to_numpy() == shuffled["solution"].to_numpy()).any()
    assert (own["source"].to_numpy() == shuffled["source"].to_numpy()).all()
    assert sorted(shuffled["problem"]) == sorted(held_out["problem"])
    assert sorted(shuffled["solution"]) == sorted(held_out["solution"])


def test_a_shuffled_pair_that_stays_as_it_is_is_left_out() -> None:
    pairs = table([*single(1), *single(30, "test")])
    pairs["solution"] = ["s", *["no", "yes"] * 15]
    sets = divide(pairs)
    own = sets["held_out"].set_index("problem")["solution"]
    assert 0 < len(sets["shuffled"]) < 30
    assert (own[sets["shuffled"]["problem"]].to_numpy() != sets["shuffled"]["solution"]).all()


def test_a_problem_of_both_splits_is_trained_on_and_its_test_solution_unseen() -> None:
    rows = [("p", "A", "test"), ("p", "A", "train"), *[("q", "A", "test")] * 2, ("r", "A", "test")]
    sets = divide(table(rows))
    found = {name: sorted(pairs["solution"]) for name, pairs in sets.items()}
    assert found == {
        "train": ["solution 1"],
        "held_out": ["solution 2", "solution 4"],
        "other_solutions": ["solution 0"],
        "shuffled": ["solution 2", "solution 4"],
        "out_of_distribution": [],
    }


# --- parameters ----------------------------------------------------------------------------------


def test_named_sources_are_out_of_distribution_with_all_their_rows() -> None:
    pairs = table([*single(5), *single(2, "test"), *single(4, source="B"), *single(3, source="C")])
    sets = divide(pairs, out_of_distribution=("B",))
    assert rows_of(sets["out_of_distribution"]) == rows_of(pairs[pairs["source"] == "B"])
    assert set(sets["train"]["source"]) == {"A", "C"}


def test_other_solutions_are_of_problems_that_are_drawn_to_train_on() -> None:
    twice = [row for row in single(40) for _ in range(2)]
    sets = divide(table([*twice, *single(5, "test")]), max_pairs=10)
    assert set(sets["other_solutions"]["problem"]) <= set(sets["train"]["problem"])


def test_held_out_problems_are_of_sources_that_are_trained_on() -> None:
    pairs = table([*single(10), *single(4, "test", "B"), *single(4, "test", "C")])
    sets = divide(pairs, out_of_distribution=("C",))
    assert set(sets["held_out"]["source"]) == {"A"}


def test_the_same_pair_again_is_no_other_solution() -> None:
    rows = [("p", "A", "train"), ("p", "A", "train"), ("q", "A", "test"), ("z", "A", "test")]
    pairs = table(rows).assign(solution=["s", "s", "t", "u"])
    assert not len(divide(pairs)["other_solutions"])


@pytest.mark.parametrize(("n_problems", "share", "n_held_out"), [(5, 0.9, 4), (100, 0.07, 7)])
def test_any_share_leaves_something_to_train_on(n_problems, share, n_held_out) -> None:
    sets = divide(table(single(n_problems)), held_out=share)
    assert len(sets["held_out"]) == n_held_out


@pytest.mark.parametrize(("share", "n_held_out"), [(0.05, 2), (0.1, 4), (0.25, 10), (0.5, 20)])
def test_without_another_split_a_share_of_the_training_problems_is_held_out(
    share: float, n_held_out: int
) -> None:
    twice = [row for row in single(40) for _ in range(2)]
    sets = divide(table([*twice, *single(7, "test", "B")]), held_out=share)
    sizes = {name: len(pairs) for name, pairs in sets.items()}
    assert sizes["held_out"] == n_held_out
    assert sizes["train"] == sizes["other_solutions"] == 40 - n_held_out
    assert sizes["out_of_distribution"] == 7
    # What is held out is held out with all its solutions.
    assert not set(sets["held_out"]["problem"]) & set(sets["other_solutions"]["problem"])


def test_where_there_is_another_split_no_training_problem_is_held_out() -> None:
    sets = divide(table([*single(10), *single(2, "validation")]), held_out=0.5)
    assert (len(sets["train"]), len(sets["held_out"])) == (10, 2)


@few_examples
@given(PAIRS, st.integers(2, 6), st.integers(0, 3))
def test_max_pairs_are_drawn_of_each_set_in_order(pairs, max_pairs: int, seed: int) -> None:
    whole = divide(pairs, held_out=0.5, seed=seed)
    drawn = divide(pairs, held_out=0.5, seed=seed, max_pairs=max_pairs)
    for name in ("train", "held_out", "out_of_distribution"):
        assert len(drawn[name]) == min(max_pairs, len(whole[name]))
        kept = whole[name][whole[name]["id"].isin(drawn[name]["id"])]
        assert kept["id"].tolist() == drawn[name]["id"].tolist()
    assert len(drawn["other_solutions"]) <= max_pairs
    assert set(drawn["shuffled"]["problem"]) <= set(drawn["held_out"]["problem"])
    assert set(drawn["shuffled"]["solution"]) <= set(drawn["held_out"]["solution"])


@few_examples
@given(PAIRS, st.integers(0, 3))
def test_the_seed_decides_and_the_table_stays_as_it_was(pairs, seed: int) -> None:
    p = NoveltyPairsParameters(held_out=0.5, max_pairs=3, seed=seed)
    before = pairs.copy()
    first, again = (make_novelty_pairs(pairs, p) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    pd.testing.assert_frame_equal(pairs, before)


def test_another_seed_draws_other_pairs() -> None:
    pairs = table([*single(60), *single(60, "test"), *single(60, "test", "B")])
    first, other = (divide(pairs, max_pairs=20, seed=seed) for seed in (0, 1))
    for name in ("train", "held_out", "shuffled", "out_of_distribution"):
        assert len(first[name]) == len(other[name]) == 20
        assert set(first[name]["id"]) != set(other[name]["id"])


def test_a_draw_spreads_over_the_whole_set() -> None:
    sets = divide(table([*single(1000), *single(5, "test")]), max_pairs=200)
    numbers = sets["train"]["id"].astype(int)
    assert 400 < np.mean(numbers) < 600


def test_the_log_says_how_many_pairs_each_set_has(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "embedlab"):
        divide(table([*single(4), *single(3, "test")]))
    assert messages_of(caplog) == [
        "Novelty pairs: 4 train, 3 held_out, 0 other_solutions, 3 shuffled, 0 out_of_distribution"
    ]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([], {}, "0 to shuffle; give more problems, some of split train$"),
        (single(3, "test"), {}, "0 pairs to train on, 0 to hold out"),
        (single(3), {"out_of_distribution": ["A"]}, "0 pairs to train on, 0 to hold out"),
        ([*single(3), *single(1, "test")], {}, "3 pairs to train on, 1 to hold out, 0 to shuffle"),
        (
            [*single(3), *single(3, source="B")],
            {"out_of_distribution": ["A", "wiki"]},
            r"out_of_distribution: no pair is of source wiki; there are A, B$",
        ),
    ],
)
def test_too_little_data_and_unknown_sources_are_one_line(
    rows: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        divide(table(rows), **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("options", [{"held_out": 0}, {"held_out": 1}, {"max_pairs": 0}])
def test_parameters_out_of_range_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        NoveltyPairsParameters.model_validate(options)


# --- queries with their relevant documents -------------------------------------------------------

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
    sets = divide(with_relevant_pairs)
    assert {name: len(pairs) for name, pairs in sets.items()} == {
        "train": 8,
        "held_out": 2,
        "other_solutions": 0,
        "shuffled": 2,
        "out_of_distribution": 2,
    }


def test_the_pairs_of_all_sets_can_be_embedded(with_relevant_pairs: pd.DataFrame) -> None:
    pairs = make_novelty_pairs(with_relevant_pairs, NoveltyPairsParameters())
    texts = pair_texts(pairs)
    assert len(texts.ids) == 14
    assert texts.parts == [pairs["problem"].tolist(), pairs["solution"].tolist()]


# --- real data -----------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_relevant_pairs_of_scifact_are_its_judgements(shared_data: Path, split: str) -> None:
    pairs, reports = relevant(shared_data, "scifact", split=split)
    with (shared_data / "scifact" / "qrels" / f"{split}.tsv").open() as file:
        judged = [(query, document) for query, document, _ in csv.reader(file, delimiter="\t")][1:]
    assert pairs["id"].tolist() == [f"scifact-{query}-{document}" for query, document in judged]
    assert reports["scifact"]["judgements"] == len(judged)
    assert pairs["id"].is_unique
    assert (pairs[["problem", "solution"]].map(str.strip) != "").all(axis=None)


def test_gsm8k_is_divided_by_its_splits_and_scifact_is_foreign_to_it(shared_data: Path) -> None:
    files = {split: str(shared_data / "gsm8k" / f"{split}.jsonl") for split in ("train", "test")}
    parameters = {
        "data": [
            {"path": "openai/gsm8k", "split": split, "files": [file]}
            for split, file in files.items()
        ],
        "relevant_pairs": {"sets": ["scifact"], "root": str(shared_data)},
    }
    pairs, _ = read_problem_solutions(ProblemSolutionParameters.model_validate(parameters))
    sets = divide(pairs)
    assert {name: len(own) for name, own in sets.items()} == {
        "train": 7473,
        "held_out": 1319,
        "other_solutions": 0,
        "shuffled": 1319,
        "out_of_distribution": 300,
    }
    assert set(sets["out_of_distribution"]["source"]) == {"scifact"}
    assert {len(own) for own in divide(pairs, max_pairs=300).values()} == {0, 300}
