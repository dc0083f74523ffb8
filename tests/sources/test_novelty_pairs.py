import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import messages_of

from embedlab.errors import InputError
from embedlab.sources.novelty_pairs import PAIR_SETS, NoveltyPairsParameters, make_novelty_pairs
from embedlab.sources.problem_solution import ProblemSolutionParameters, read_problem_solutions

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


def single(count: int, split: str = "train", source: str = "A") -> list[tuple[str, str, str]]:
    """Rows of problems with one solution each."""
    return [(f"{split} {source} {n}", source, split) for n in range(count)]


PAIRS = ROWS.filter(usable).map(table)


def divide(pairs: pd.DataFrame, **options: Any) -> dict[str, pd.DataFrame]:
    """The rows of each set, and none for an absent one."""
    made = make_novelty_pairs(pairs, NoveltyPairsParameters(**options))
    assert list(made.columns) == ["id", "problem", "solution", "source", "set"]
    assert made["set"].tolist() == sorted(made["set"], key=list(PAIR_SETS).index)
    assert made["id"].is_unique
    return {name: made[made["set"] == name] for name in PAIR_SETS}


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
    same_sources = pairs[pairs["source"].isin(pairs.loc[pairs["split"] == "train", "source"])]
    assert set(train) | set(held_out) == set(same_sources["problem"])


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
    ood = pairs[~trained & ~known].drop_duplicates("problem")
    assert rows_of(sets["out_of_distribution"]) == rows_of(ood)
    for name in ("train", "held_out", "other_solutions"):
        assert rows_of(sets[name]) <= rows_of(pairs[trained])


@few_examples
@given(PAIRS)
def test_every_held_out_problem_is_given_the_solution_of_another(pairs) -> None:
    sets = divide(pairs, held_out=0.5)
    held_out, shuffled = sets["held_out"], sets["shuffled"]
    original = held_out.set_index("problem").loc[shuffled["problem"]]
    assert not (original["solution"].to_numpy() == shuffled["solution"].to_numpy()).any()
    assert (original["source"].to_numpy() == shuffled["source"].to_numpy()).all()
    assert sorted(shuffled["problem"]) == sorted(held_out["problem"])
    assert sorted(shuffled["solution"]) == sorted(held_out["solution"])


def test_a_shuffled_pair_that_stays_as_it_is_is_left_out() -> None:
    pairs = table([*single(1), *single(30, "test")])
    pairs["solution"] = ["s", *["no", "yes"] * 15]
    sets = divide(pairs)
    original = sets["held_out"].set_index("problem")["solution"]
    assert 0 < len(sets["shuffled"]) < 30
    assert (original[sets["shuffled"]["problem"]].to_numpy() != sets["shuffled"]["solution"]).all()


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


@few_examples
@given(PAIRS, st.sampled_from(["train[:20]", "train[10%:]", "train + test", "extra+train[5:]"]))
def test_a_part_of_the_training_split_is_trained_on(pairs, split: str) -> None:
    named = pairs.assign(split=pairs["split"].replace("train", split))
    for name, expected in divide(pairs, held_out=0.5).items():
        pd.testing.assert_frame_equal(divide(named, held_out=0.5)[name], expected)


@pytest.mark.parametrize("split", ["training", "test[:20]", "test+validation", "my_train"])
def test_other_splits_are_not_trained_on(split: str) -> None:
    sets = divide(table([*single(5), *single(3, split, "B"), *single(2, split)]))
    assert set(sets["out_of_distribution"]["source"]) == {"B"}
    assert len(sets["held_out"]) == 2


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


@pytest.mark.parametrize(("num_problems", "share", "num_held_out"), [(5, 0.9, 4), (100, 0.07, 7)])
def test_any_share_leaves_something_to_train_on(num_problems, share, num_held_out) -> None:
    sets = divide(table(single(num_problems)), held_out=share)
    assert len(sets["held_out"]) == num_held_out


@pytest.mark.parametrize(("share", "num_held_out"), [(0.05, 2), (0.1, 4), (0.25, 10), (0.5, 20)])
def test_without_another_split_a_share_of_the_training_problems_is_held_out(
    share: float, num_held_out: int
) -> None:
    twice = [row for row in single(40) for _ in range(2)]
    sets = divide(table([*twice, *single(7, "test", "B")]), held_out=share)
    sizes = {name: len(pairs) for name, pairs in sets.items()}
    assert sizes["held_out"] == num_held_out
    assert sizes["train"] == sizes["other_solutions"] == 40 - num_held_out
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


# --- real data -----------------------------------------------------------------------------------


def test_gsm8k_is_divided_by_its_splits_and_scifact_is_ood(
    shared_data: Path,
) -> None:
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
    assert {name: len(rows) for name, rows in sets.items()} == {
        "train": 7473,
        "held_out": 1319,
        "other_solutions": 0,
        "shuffled": 1319,
        "out_of_distribution": 300,
    }
    assert set(sets["out_of_distribution"]["source"]) == {"scifact"}
    assert {len(rows) for rows in divide(pairs, max_pairs=300).values()} == {0, 300}
