"""Random rows, bytes and parameters end in a result or an InputError, in nothing else."""

import contextlib
import copy
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kedro.framework.startup import bootstrap_project
from support import ROOT, make_project

from embedlab import project_parameters
from embedlab.cli import run
from embedlab.errors import InputError
from embedlab.pipeline_registry import register_pipelines
from embedlab.resource_encoder.configs import read_tool_configs
from embedlab.resource_encoder.tools import read_tool_registry
from embedlab.sources.bad_rows import BadRows
from embedlab.sources.beir import read_beir_folder
from embedlab.sources.beir_pairs import BeirPairsParameters, read_beir_pairs
from embedlab.sources.documents import DocumentPairsParameters, read_document_pairs
from embedlab.sources.hh_rlhf import HhRlhfParameters, read_preference_pairs
from embedlab.sources.msmarco import MsMarcoParameters, read_msmarco
from embedlab.sources.novelty_pairs import NoveltyPairsParameters, make_novelty_pairs
from embedlab.sources.on_demand import read_items
from embedlab.sources.prefixes import unique_prefixes
from embedlab.sources.problem_solution import ProblemSolutionParameters, read_problem_solutions
from embedlab.sources.retrieval_documents import documents_of_pairs

FUZZ = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,  # the same cases on every machine
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
# Every kind of value that JSON has, with some of the values that break programs.
LEAVES = st.sampled_from(
    [
        *(None, True, 0, -1, 1, 2, 3, 10**30, 1e300, float("nan"), float("inf"), -0.0, 0.5),
        *("", " ", "x", "1", "train", "\ud800", "\x00", "a\tb", "\r\n", '"', "Human: a", "null"),
    ]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["messages", "role", "content", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)
DELETED = object()


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every value inside `value` is."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths(value[key], (*path, key))


def mutated(data: st.DataObject, value: Any) -> Any:
    """Nested values of which up to two are replaced, deleted or added."""
    value = copy.deepcopy(value)
    for _ in range(data.draw(st.integers(1, 2))):
        *parents, key = data.draw(st.sampled_from(list(paths(value))))
        parent = value
        for one in parents:
            parent = parent[one]
        new = data.draw(VALUES | st.just(DELETED))
        if new is not DELETED:
            parent[key] = new
        else:
            del parent[key]
        if not value:
            break
    return value


def write(path: Path, rows: Any) -> Path:
    """Rows as a file of the kind that the path's suffix names."""
    if path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        with contextlib.suppress(Exception):  # pandas cannot write everything
            table = pd.DataFrame([row for row in rows if isinstance(row, dict)])
            table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    return path


TURNS = {"chosen": "Human: a\n\nAssistant: b", "rejected": "Human: a\n\nAssistant: c"}
PREFIX = {"messages": [{"role": "user", "content": "Why?"}]}
RESPONSES = {"chosen": "Because.", "rejected": "No."}
TWO_SENTENCES = [{"text": f"Sentence {i} is one. Sentence {i} is two."} for i in range(30)]
SELECTED = {"passage_text": ["yes", "no"], "is_selected": [1, 0]}
TOOLS = [{"tool_name": f"t{i}", "description": f"does {i}"} for i in range(2)]
RESOURCES = ("cpu_cores", "memory_gb", "gpu_sm", "gpu_memory_gb", "latency_ms")
CONFIGS = [
    {"tool_name": f"t{i}", "input_size": "small"} | dict.fromkeys(RESOURCES, 1) for i in (0, 1)
]
BEIR = {
    "corpus": [{"_id": i, "title": "", "text": f"document {i}"} for i in range(3)],
    "queries": [{"_id": str(i), "text": f"query {i}"} for i in range(3)],
}
PAIRS = [{"question": f"{i} + 1?", "answer": str(i)} for i in range(5)]


def problems(path: Path, on_error: Any) -> None:
    parameters = ProblemSolutionParameters(data=[{"files": [str(path)]}], on_error=on_error)
    table, _ = read_problem_solutions(parameters)
    make_novelty_pairs(table, NoveltyPairsParameters())


def preferences(path: Path, on_error: Any) -> None:
    pairs, _ = read_preference_pairs(
        HhRlhfParameters(data=[{"files": [str(path)]}], on_error=on_error)
    )
    unique_prefixes(pairs)


def training_pairs(path: Path, on_error: Any) -> None:
    train, validation, _ = read_msmarco(
        MsMarcoParameters(train={"files": [str(path)]}, on_error=on_error)
    )
    documents_of_pairs(train, validation)


def document_pairs(path: Path, on_error: Any) -> None:
    read_document_pairs(DocumentPairsParameters(data={"files": [str(path)]}, on_error=on_error))


def configs(path: Path, on_error: Any) -> None:
    read_tool_configs(path, pd.DataFrame(TOOLS))


# The rows of a sound file, and its reader.
READERS: dict[str, tuple[list[dict[str, Any]], Callable[[Path, Any], object]]] = {
    "problems": (PAIRS, problems),
    "dialogues": ([TURNS, TURNS | {"src": "s"}], preferences),
    "prefixes": ([RESPONSES | {"prefix": PREFIX}, RESPONSES | {"prompt": "p"}], preferences),
    "pairs": (
        [{"query": f"q{i}", "positive": "p", "negative": "n"} for i in range(3)],
        training_pairs,
    ),
    "passages": ([{"query": f"q{i}", "passages": SELECTED} for i in range(3)], training_pairs),
    "documents": (TWO_SENTENCES, document_pairs),
    "items": (
        [{"id": "a", "prefix": PREFIX}, {"id": 1, "prompt": "p"}],
        read_items,
    ),
    "tools": (TOOLS, lambda path, _: read_tool_registry(path)),
    "configs": (CONFIGS, configs),
}
SUFFIXES = st.sampled_from([".json", ".jsonl", ".csv", ".parquet"])
ON_ERROR = st.sampled_from(["fail", "skip"])


@pytest.mark.parametrize("kind", READERS)
@FUZZ
@given(data=st.data(), suffix=SUFFIXES, on_error=ON_ERROR)
def test_random_rows(kind: str, data: st.DataObject, suffix: str, on_error: str, tmp_path) -> None:
    rows, read = READERS[kind]
    path = write(tmp_path / f"rows{suffix}", mutated(data, rows))
    with contextlib.suppress(InputError):
        read(path, on_error)


def damaged(data: st.DataObject, content: bytes) -> bytes:
    """The bytes of a file, some of them cut out and replaced."""
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, len(content)))
    piece = data.draw(
        st.binary(max_size=4) | st.sampled_from([b"\xff", b"\r", b"\n\n", b'"', b"\t"])
    )
    return content[:start] + piece + content[end:]


@pytest.mark.parametrize("kind", ["problems", "documents", "configs"])
@FUZZ
@given(data=st.data(), suffix=SUFFIXES | st.just(".txt"), on_error=ON_ERROR)
def test_random_bytes(kind: str, data: st.DataObject, suffix: str, on_error: str, tmp_path) -> None:
    rows, read = READERS[kind]
    path = write(tmp_path / f"rows{suffix}", rows)
    path.write_bytes(damaged(data, path.read_bytes() if path.exists() else b"a text"))
    with contextlib.suppress(InputError):
        read(path, on_error)


@FUZZ
@given(data=st.data(), on_error=ON_ERROR, part=st.sampled_from(["corpus", "queries", "qrels"]))
def test_random_retrieval_sets(data: st.DataObject, on_error: Any, part: str, tmp_path) -> None:
    qrels = b"query-id\tcorpus-id\tscore\n0\t1\t1\n1\t2\t2\n2\t0\t0\n"
    (tmp_path / "set/qrels").mkdir(parents=True, exist_ok=True)
    for name, rows in BEIR.items():
        rows = mutated(data, rows) if name == part else rows
        write(tmp_path / "set" / f"{name}.jsonl", rows)
    content = damaged(data, qrels) if part == "qrels" else qrels
    (tmp_path / "set/qrels/train.tsv").write_bytes(content)
    with contextlib.suppress(InputError):
        read_beir_folder(tmp_path / "set", "train", BadRows(on_error))
    with contextlib.suppress(InputError):
        parameters = BeirPairsParameters(sets=["set"], root=str(tmp_path), on_error=on_error)
        read_beir_pairs(parameters)


@functools.cache
def base_parameters() -> dict[str, Any]:
    files = sorted((ROOT / "conf/base").glob("parameters_*.yml"))
    return {key: value for file in files for key, value in yaml.safe_load(file.read_text()).items()}


@settings(FUZZ, max_examples=60)
@given(data=st.data())
def test_random_parameters(data: st.DataObject, monkeypatch) -> None:
    monkeypatch.setattr(project_parameters, "_current", None)
    with contextlib.suppress(InputError):
        project_parameters.use(mutated(data, base_parameters())).for_nodes()
        register_pipelines()


@pytest.fixture(scope="module")
def fresh_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("fuzz") / "project")


@settings(FUZZ, max_examples=6)
@given(
    data=st.data(), option=st.sampled_from(["--params=", "--params=evaluation.top_k=", "--env="])
)
def test_random_commands(data: st.DataObject, option: str, fresh_project, monkeypatch) -> None:
    monkeypatch.chdir(fresh_project)
    bootstrap_project(fresh_project)
    text = data.draw(st.text(st.sampled_from("a=[{}]:,'\"$.1 \n!&*%"), max_size=8))
    arguments = [option + text, "--pipelines=none"]
    result = CliRunner().invoke(run, arguments)
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Error: " in result.output
