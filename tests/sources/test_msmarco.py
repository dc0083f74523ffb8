from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support import local, write

from embedlab.errors import InputError
from embedlab.sources.msmarco import MsMarcoParameters, read_msmarco

TRIPLETS = [{"query": f"q{n // 2}", "positive": f"p{n}", "negative": f"n{n}"} for n in range(200)]


def msmarco(tmp_path: Path, rows: list[dict[str, Any]], **options: Any) -> Any:
    path = write(tmp_path / "triplets.jsonl", rows)
    return read_msmarco(MsMarcoParameters.model_validate({"train": local(path), **options}))


def test_triplets_are_split_by_query(tmp_path: Path) -> None:
    train, validation, report = msmarco(tmp_path, TRIPLETS, validation_fraction=0.1)
    assert list(train.columns) == ["query", "positive", "negative", "source"]
    assert (len(train), len(validation)) == (180, 20)
    assert set(train["query"]).isdisjoint(validation["query"])
    assert (report["train_pairs"], report["validation_pairs"]) == (180, 20)
    again, *_ = msmarco(tmp_path, TRIPLETS, validation_fraction=0.1)
    pd.testing.assert_frame_equal(train, again)
    other, *_ = msmarco(tmp_path, TRIPLETS, validation_fraction=0.1, seed=1)
    assert list(train["query"]) != list(other["query"])


def test_a_share_of_the_set_is_drawn_then_cut(tmp_path: Path) -> None:
    options = {"validation_fraction": 0, "split_ratio": 0.5}
    half, none, _ = msmarco(tmp_path, TRIPLETS, **options)
    assert (len(half), len(none)) == (100, 0)
    assert half["positive"].tolist() != [row["positive"] for row in TRIPLETS[:100]]
    cut, *_ = msmarco(tmp_path, TRIPLETS, **options, max_samples=30)
    assert cut["positive"].tolist() == half["positive"].tolist()[:30]


def test_reading_stops_at_the_last_sample_wanted(tmp_path: Path) -> None:
    train, _, report = msmarco(tmp_path, TRIPLETS, max_samples=10, validation_fraction=0)
    assert train["positive"].tolist() == [f"p{n}" for n in range(10)]
    assert report["read"] == 10


def test_validation_can_have_files_of_its_own(tmp_path: Path) -> None:
    dev = write(tmp_path / "dev.jsonl", [{"query": "q", "positive": "p"}])
    train, validation, _ = msmarco(tmp_path, TRIPLETS, validation=local(dev))
    assert len(train) == 200
    assert validation[["query", "positive", "source"]].values.tolist() == [["q", "p", "dev"]]
    assert validation["negative"].isna().all()


def test_the_published_shape_gives_the_selected_passage_and_another(tmp_path: Path) -> None:
    passages = {"passage_text": ["x", "y", "z"], "is_selected": [0, 1, 0]}
    unanswered = {"passage_text": ["x"], "is_selected": [0]}
    rows = [{"query": "a", "passages": passages}, {"query": "b", "passages": unanswered}]
    train, _, report = msmarco(tmp_path, rows, validation_fraction=0)
    assert train[["query", "positive", "negative"]].values.tolist() == [["a", "y", "x"]]
    assert report["left_out"] == {"no passage is selected": 1}


MSMARCO_ERRORS = {
    "no positive": ({"query": "a"}, "field 'positive' is missing"),
    "no query": ({"positive": "a"}, "field 'query' is missing"),
    "odd negative": (
        {"query": "a", "positive": "b", "negative": ["c"]},
        "field 'negative' is not text (['c'])",
    ),
    "odd passages": (
        {"query": "a", "passages": {"passage_text": ["x"], "is_selected": []}},
        "field 'passages' has no equally long passage_text and is_selected",
    ),
}


@pytest.mark.parametrize("case", MSMARCO_ERRORS)
def test_a_bad_triplet_is_named(tmp_path: Path, case: str) -> None:
    row, reason = MSMARCO_ERRORS[case]
    with pytest.raises(InputError) as raised:
        msmarco(tmp_path, [*TRIPLETS[:2], row])
    assert str(raised.value) == (
        f"{tmp_path}/triplets.jsonl:3: {reason} "
        "(bad rows: 1 of 3; repair them or set on_error: skip)"
    )


@pytest.mark.parametrize("flags", [[0, 1], [False, True], [0.0, 1.0]])
def test_one_or_true_selects_and_zero_or_false_does_not(tmp_path: Path, flags: list[Any]) -> None:
    passages = {"passage_text": ["x", "y"], "is_selected": flags}
    train, _, _ = msmarco(tmp_path, [{"query": "a", "passages": passages}], validation_fraction=0)
    assert train[["positive", "negative"]].values.tolist() == [["y", "x"]]


@pytest.mark.parametrize("flags", [[-1, -1], [1, -1], [2, 0], ["0", "1"], [None, 1], [[], 1]])
def test_rows_with_another_selection_are_left_out_and_counted(
    tmp_path: Path, flags: list[Any]
) -> None:
    passages = {"passage_text": ["x", "y"], "is_selected": flags}
    rows = [*TRIPLETS[:2], {"query": "a", "passages": passages}]
    train, _, report = msmarco(tmp_path, rows, validation_fraction=0)
    assert len(train) == report["kept"] == 2
    assert report["left_out"] == {"is_selected is neither 0 nor 1": 1}


def test_a_split_that_nobody_judged_is_one_line(tmp_path: Path) -> None:
    passages = {"passage_text": ["x", "y"], "is_selected": [-1, -1]}
    with pytest.raises(InputError) as raised:
        msmarco(tmp_path, [{"query": "a", "passages": passages}] * 5)
    assert str(raised.value) == ("none of the 5 rows is usable: is_selected is neither 0 nor 1: 5")
