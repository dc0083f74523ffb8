import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from embedlab.errors import InputError
from embedlab.sources.hh_rlhf import HhRlhfParameters, read_preference_pairs
from embedlab.sources.huggingface import HuggingFaceSource, open_rows
from embedlab.sources.msmarco import MsMarcoParameters, read_msmarco
from embedlab.sources.prefixes import Message, prefix_id
from embedlab.sources.problem_solution import ProblemSolutionParameters, read_problem_solutions

GSM8K = [{"question": f"How much is {n} + 1?", "answer": f"#### {n + 1}"} for n in range(3)]
MATH = [{"problem": "Find $x$.", "solution": "$x = 1$", "level": "Level 1"}]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def local(*paths: Path, **more: Any) -> dict[str, Any]:
    return {"files": tuple(map(str, paths)), **more}


# --- the hub -------------------------------------------------------------------------------------


def test_a_local_dataset_folder_is_loaded_as_a_dataset(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train.jsonl", GSM8K)
    source = HuggingFaceSource(path=str(tmp_path / "data"), streaming=True)
    records = list(open_rows(source))
    assert [record.fields for record in records] == GSM8K
    assert records[2].where == f"{tmp_path / 'data'}[train]:3"


def test_offline_mode_gives_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    source = HuggingFaceSource(path="nobody/such-a-set", split="train")
    with pytest.raises(InputError) as raised:
        next(open_rows(source))
    message = str(raised.value)
    assert message.startswith("nobody/such-a-set[train]: cannot be loaded (ConnectionError: ")
    assert message.endswith(
        "give local copies in files, or go online (HF_HUB_OFFLINE=1 uses a cached copy)"
    )
    assert "\n" not in message


def test_a_hub_out_of_reach_fails_at_once(tmp_path: Path) -> None:
    script = (
        "from embedlab.sources.huggingface import HuggingFaceSource, open_rows\n"
        "try: next(open_rows(HuggingFaceSource(path='nobody/such-a-set')))\n"
        "except ValueError as error: assert False, f'{type(error).__name__}: {error}'\n"
    )
    unreachable = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **unreachable, "HF_HUB_OFFLINE": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    last_line = result.stderr.splitlines()[-1]
    assert "InputError: nobody/such-a-set[train]: cannot be loaded (ConnectError" in last_line
    assert time.monotonic() - started < 15


def test_a_script_in_a_dataset_folder_is_not_run(tmp_path: Path) -> None:
    folder = tmp_path / "scripted"
    folder.mkdir()
    (folder / "scripted.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InputError, match=r"\[train\]: cannot be loaded \("):
        next(open_rows(HuggingFaceSource(path=str(folder))))
    assert not (tmp_path / "ran").exists()


# --- problems and solutions ----------------------------------------------------------------------


def test_both_known_shapes_become_one_table(tmp_path: Path) -> None:
    gsm8k, math = write(tmp_path / "g.jsonl", GSM8K), write(tmp_path / "math.jsonl", MATH)
    parameters = ProblemSolutionParameters.model_validate(
        {"data": [local(gsm8k, path="openai/gsm8k"), local(math, split="test")]}
    )
    table, report = read_problem_solutions(parameters)
    assert list(table.columns) == ["id", "problem", "solution", "source", "split"]
    assert list(table["id"]) == [*(f"gsm8k-train-{n}" for n in range(3)), "math-test-0"]
    assert table.iloc[3].to_dict() == {
        "id": "math-test-0",
        "problem": "Find $x$.",
        "solution": "$x = 1$",
        "source": "math",
        "split": "test",
    }
    assert (report["read"], report["kept"]) == (4, 4)


def test_other_columns_are_named_in_parameters(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"n": 5, "ask": "a", "tell": "b"}])
    columns = {"problem_column": "ask", "solution_column": "tell", "id_column": "n"}
    table, _ = read_problem_solutions(
        ProblemSolutionParameters.model_validate({"data": [local(path)], **columns})
    )
    assert table.loc[0, ["id", "problem", "solution"]].tolist() == ["5", "a", "b"]


PROBLEM_ERRORS = {
    "unknown shape": (
        {"ask": "a"},
        {},
        "no question/answer or problem/solution; set problem_column and solution_column (['ask'])",
    ),
    "half a shape": ({"question": "a"}, {}, "field 'answer' is missing"),
    "empty answer": ({"question": "a", "answer": ""}, {}, "field 'answer' is empty"),
    "number": ({"problem": 1, "solution": "b"}, {}, "field 'problem' is not text (1)"),
    "no id": ({"question": "a", "answer": "b"}, {"id_column": "n"}, "field 'n' is missing"),
}


@pytest.mark.parametrize("case", PROBLEM_ERRORS)
def test_a_bad_problem_is_named(tmp_path: Path, case: str) -> None:
    row, options, reason = PROBLEM_ERRORS[case]
    path = write(tmp_path / "a.jsonl", [row])
    parameters = ProblemSolutionParameters.model_validate({"data": [local(path)], **options})
    with pytest.raises(InputError) as raised:
        read_problem_solutions(parameters)
    assert str(raised.value) == (
        f"{path}:1: {reason} (bad rows: 1 of 1; repair them or set on_error: skip)"
    )


def test_the_same_set_twice_is_a_duplicate(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", GSM8K[:1])
    with pytest.raises(InputError, match=r"a.jsonl:1: duplicate id \('a-train-0'\)"):
        read_problem_solutions(
            ProblemSolutionParameters.model_validate({"data": [local(path), local(path)]})
        )


# --- preferences ---------------------------------------------------------------------------------

ASKED = "\n\nHuman: Hi.\n\nAssistant: Hello!\n\nHuman: Name a colour.\n\nAssistant:"
MESSAGES = [
    {"role": "user", "content": "Hi."},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "Name a colour."},
]


def preferences(tmp_path: Path, *rows: dict[str, Any], **options: Any) -> pd.DataFrame:
    path = write(tmp_path / "pairs.jsonl", list(rows))
    parameters = HhRlhfParameters.model_validate({"data": [local(path)], **options})
    return read_preference_pairs(parameters)[0]


def test_a_dialogue_is_split_into_its_messages_and_the_two_responses(tmp_path: Path) -> None:
    row = {"chosen": f"{ASKED} Red.\n\nOr blue.", "rejected": f"{ASKED} No."}
    table = preferences(tmp_path, row)
    assert table.iloc[0].to_dict() == {
        "prefix": {"messages": MESSAGES},
        "chosen": "Red.\n\nOr blue.",
        "rejected": "No.",
        "src": "pairs",
        "prefix_id": prefix_id(MESSAGES),  # type: ignore[arg-type]
    }


def test_structured_rows_are_taken_as_they_are(tmp_path: Path) -> None:
    responses = {"chosen": "a", "rejected": "b"}
    table = preferences(
        tmp_path,
        {"prefix": {"messages": MESSAGES}, "src": "mine", **responses},
        {"prompt": "Name a colour.", **responses},
    )
    assert table["prefix"][0] == {"messages": MESSAGES}
    assert table["prefix"][1] == {"messages": MESSAGES[2:]}
    assert list(table["src"]) == ["mine", "pairs"]


def test_a_prompt_may_stand_in_columns_of_its_own(tmp_path: Path) -> None:
    row = {"topic": "Tea", "stance": "for", "prompt": "?", "chosen": "a", "rejected": "b"}
    table = preferences(tmp_path, row, prompt_columns=("topic", "stance"), src_column="topic")
    message = Message(role="user", content="Tea\nfor")
    assert table["prefix"][0] == {"messages": [message]}
    assert table["prefix_id"][0] == prefix_id([message])
    assert table["src"][0] == "Tea"


ROW = {"topic": "Tea", "src": "mine", "chosen": "a", "rejected": "b"}


@pytest.mark.parametrize(
    ("options", "row", "reason"),
    [
        ({"prompt_columns": ["topic", "stance"]}, ROW, "field 'stance' is missing"),
        ({"prompt_columns": ["topic"]}, ROW | {"topic": " "}, "field 'topic' is empty"),
        ({"prompt_columns": ["topic"]}, ROW | {"rejected": ""}, "field 'rejected' is empty"),
        ({"prompt_columns": ["topic"], "src_column": "by"}, ROW, "field 'by' is missing"),
    ],
)
def test_a_missing_column_or_an_empty_response_is_a_bad_row(
    tmp_path: Path, options: dict[str, Any], row: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InputError) as raised:
        preferences(tmp_path, row, **options)
    assert str(raised.value) == (
        f"{tmp_path}/pairs.jsonl:1: {reason} (bad rows: 1 of 1; repair them or set on_error: skip)"
    )


PREFERENCE_ERRORS = {
    "no dialogue": (("Red.", "Blue."), "not a Human:/Assistant: dialogue ('Red.')"),
    "empty response": ((ASKED, f"{ASKED} x"), "a turn of the dialogue is empty"),
    "no response": (
        ("\n\nHuman: a", f"{ASKED} x"),
        "the dialogue in 'chosen' does not end in a response to the user",
    ),
    "other questions": (
        (f"{ASKED} x", "\n\nHuman: a\n\nAssistant: y"),
        "chosen and rejected differ before their last responses",
    ),
    "equal responses": ((f"{ASKED} x", f"{ASKED} x "), "chosen and rejected are the same"),
}


@pytest.mark.parametrize("case", PREFERENCE_ERRORS)
def test_a_bad_preference_is_named_or_skipped(tmp_path: Path, case: str) -> None:
    (chosen, rejected), reason = PREFERENCE_ERRORS[case]
    bad = {"chosen": chosen, "rejected": rejected}
    good = {"prompt": "p", "chosen": "a", "rejected": "b"}
    with pytest.raises(InputError) as raised:
        preferences(tmp_path, good, bad)
    assert str(raised.value) == (
        f"{tmp_path}/pairs.jsonl:2: {reason} (bad rows: 1 of 2; repair them or set on_error: skip)"
    )
    assert len(preferences(tmp_path, good, bad, on_error="skip")) == 1


@pytest.mark.parametrize(
    "prefix", [None, "text", {"messages": []}, {"messages": ["hi"]}, {"messages": [{"role": "u"}]}]
)
def test_a_prefix_without_proper_messages_is_bad(tmp_path: Path, prefix: Any) -> None:
    with pytest.raises(InputError, match=r"pairs.jsonl:1: "):
        preferences(tmp_path, {"prefix": prefix, "chosen": "a", "rejected": "b"})


# --- MS MARCO ------------------------------------------------------------------------------------

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


# --- parameters ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "raw", "message"),
    [
        (
            ProblemSolutionParameters,
            {"data": [{}]},
            "data.0: give path (a Hugging Face dataset) or files (local files)",
        ),
        (
            ProblemSolutionParameters,
            {"data": [{"path": "a/b"}], "problem_column": "p"},
            "give both problem_column and solution_column, or neither",
        ),
        (HhRlhfParameters, {"data": []}, "data: give at least one dataset"),
        (
            HhRlhfParameters,
            {"data": [{"path": "a/b", "trust_remote_code": True}]},
            "data.0.trust_remote_code: no such parameter",
        ),
        (
            MsMarcoParameters,
            {"split_ratio": 0},
            "split_ratio: Input should be greater than 0 (got 0)",
        ),
    ],
)
def test_bad_parameters_are_named(model: Any, raw: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        model.model_validate(raw)
    assert str(raised.value) == message


# --- real data -----------------------------------------------------------------------------------


def test_gsm8k_is_read_whole(shared_data: Path) -> None:
    source = local(shared_data / "gsm8k" / "train.jsonl", path="openai/gsm8k")
    table, report = read_problem_solutions(
        ProblemSolutionParameters.model_validate({"data": [source]})
    )
    assert len(table) == 7473 == report["kept"]
    assert table["problem"][0].startswith("Natalia sold clips to 48 of her friends")
    assert table["solution"].str.contains("####").all()


def test_pairs_of_arguments_are_read_by_their_columns(shared_data: Path) -> None:
    file = shared_data / "pref-ukpconvarg1" / "pairs.jsonl"
    columns = {"prompt_columns": ("topic", "stance"), "src_column": "topic"}
    parameters = HhRlhfParameters.model_validate({"data": [local(file)], **columns})
    table, report = read_preference_pairs(parameters)
    assert len(table) == 11650 == report["kept"]
    assert (table["prefix_id"].nunique(), table["src"].nunique()) == (32, 16)
    assert table["prefix"][0]["messages"] == [
        {"role": "user", "content": "ban-plastic-water-bottles\nno-bad-for-the-economy"}
    ]
