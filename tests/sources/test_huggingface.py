import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import datasets
import pytest
from support import local, write

from embedlab.errors import InputError
from embedlab.sources.hh_rlhf import HhRlhfParameters, read_preference_pairs
from embedlab.sources.huggingface import HuggingFaceSource, open_rows
from embedlab.sources.msmarco import MsMarcoParameters
from embedlab.sources.problem_solution import ProblemSolutionParameters, read_problem_solutions

GSM8K = [{"question": f"How much is {n} + 1?", "answer": f"#### {n + 1}"} for n in range(3)]
MATH = [{"problem": "Find $x$.", "solution": "$x = 1$", "level": "Level 1"}]


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


def test_parts_of_one_dataset_have_labels_and_ids_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", MATH)
    subjects = [
        local(path, path="EleutherAI/math", name=subject) for subject in ("algebra", "geometry")
    ]
    table, report = read_problem_solutions(
        ProblemSolutionParameters.model_validate({"data": subjects, "on_error": "skip"})
    )
    assert list(table["id"]) == ["math-algebra-train-0", "math-geometry-train-0"]
    assert list(table["source"]) == ["math-algebra", "math-geometry"]
    assert report["skipped"] == 0


@pytest.mark.parametrize(
    ("source", "label"),
    [
        ({"path": "openai/gsm8k"}, "gsm8k"),
        ({"path": "openai/gsm8k", "name": "main"}, "gsm8k-main"),
        ({"path": "Anthropic/hh-rlhf", "data_dir": "helpful-base/"}, "hh-rlhf-helpful-base"),
        ({"path": "a/b", "name": "c", "data_dir": "d/e"}, "b-c-d-e"),
        ({"files": ["folder/rows.csv"]}, "rows"),
        ({"files": ["folder/rows.csv"], "name": "mine"}, "rows-mine"),
    ],
)
def test_the_label_has_the_configuration_and_the_folder(source: Any, label: str) -> None:
    assert HuggingFaceSource.model_validate(source).label == label


def test_the_folders_of_a_dataset_are_sources_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"prompt": "p", "chosen": "a", "rejected": "b"}])
    folders = [local(path, path="Anthropic/hh-rlhf", data_dir=f"{name}-base") for name in "ab"]
    table, _ = read_preference_pairs(HhRlhfParameters.model_validate({"data": folders}))
    assert list(table["src"]) == ["hh-rlhf-a-base", "hh-rlhf-b-base"]


@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_two_entries_whose_ids_would_be_the_same_are_refused(tmp_path: Path, on_error: str) -> None:
    path = write(tmp_path / "a.jsonl", GSM8K)
    raw = {"data": [local(path), local(path)], "on_error": on_error}
    with pytest.raises(InputError) as raised:
        ProblemSolutionParameters.model_validate(raw)
    assert str(raised.value) == (
        "data: the ids of 2 entries would start with a-train; "
        "give each another name or split, or an id_column"
    )
    ProblemSolutionParameters.model_validate(raw | {"id_column": "id"})


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
