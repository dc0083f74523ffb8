"""The pipelines encoder_pretrain and weight_export as a user runs them."""

import json
import re
import shutil
import sys

import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project
from support import kedro, make_project
from synthetic_language_models import tiny_language_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from embedlab.cli import run
from embedlab.resource_encoder.configs import INPUT_SIZES
from embedlab.resource_encoder.tools import TOOLS
from embedlab.tensor_files import read_tensors

PIPELINES = "--pipelines=encoder_pretrain,weight_export"
MODELS, OUTPUT = "data/06_models", "data/07_model_output/resource_encoder"
REPORTS = "data/08_reporting/resource_encoder"


@pytest.fixture(autouse=True, scope="module")
def one_thread_in_processes(one_thread):
    """The commands that tests start have one, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project in which the two pipelines have run."""
    project = make_project(tmp_path_factory.mktemp("resource") / "project")
    result = kedro(project, "run", "--env=test", PIPELINES)
    assert result.returncode == 0, result.stderr
    return project


@pytest.fixture
def copied(project, tmp_path, monkeypatch):
    """A copy of the finished project, to be run in."""
    monkeypatch.chdir(shutil.copytree(project, tmp_path / "project"))
    return tmp_path / "project"


def run_in(project, *arguments):
    """Run in this process, which is faster than in one of its own."""
    bootstrap_project(project)
    return CliRunner().invoke(run, ["--env=test", *arguments], catch_exceptions=False)


def configure(project, **changes):
    """Change parameters of encoder_pretrain in the test environment."""
    path = project / "conf/test/parameters_encoder_pretrain.yml"
    parameters = yaml.safe_load(path.read_text())
    parameters["encoder_pretrain"] |= changes
    path.write_text(yaml.safe_dump(parameters))


def read_json(path):
    return json.loads(path.read_text())


def artifacts(project):
    """What weight_export has written, to the byte."""
    names = ("config_weights.pt", "config_lookup.json", "tool_mask_map.json")
    return {name: (project / OUTPUT / name).read_bytes() for name in names}


def test_the_weights_are_those_of_the_document(project):
    content = torch.load(project / OUTPUT / "config_weights.pt", weights_only=True)
    weights = content["weights"]
    model = project / MODELS / "resource_encoder/small_language_model"
    hidden_size = read_json(model / "config.json")["hidden_size"]
    assert weights.shape == (1701, hidden_size) == (content["num_configs"], content["hidden_dim"])
    assert weights.dtype == torch.float32
    assert len(weights.unique(dim=0)) == 1701
    assert content["language_model_name"] == "small (made here)"
    encoder = read_tensors(project / MODELS / "resource_encoder/pretrained_encoder.pt")
    assert content["language_model"] == encoder["language_model"]
    assert re.fullmatch("[0-9a-f]{64}", content["data_sha256"])
    assert re.fullmatch("[0-9a-f]{64}", content["encoder_sha256"])
    norms = weights.norm(dim=1)
    torch.testing.assert_close(norms, encoder["encoder"]["norm"].expand(1701))


def test_the_lookups_are_those_of_the_document(project):
    lookup = read_json(project / OUTPUT / "config_lookup.json")
    assert list(lookup) == [str(i) for i in range(1701)]
    first = {
        "tool_name": "image_classification",
        "input_size": "small",
        "cpu_cores": 2,
        "memory_gb": 4.0,
        "gpu_sm": 20,
        "gpu_memory_gb": 2.0,
    }
    assert list(lookup["0"]) == [*first, "latency_ms"]
    assert {name: lookup["0"][name] for name in first} == first
    kinds = {name: type(value) for name, value in lookup["0"].items()}
    assert (kinds["cpu_cores"], kinds["gpu_sm"]) == (int, int)
    assert (kinds["memory_gb"], kinds["gpu_memory_gb"], kinds["latency_ms"]) == (float,) * 3
    assert {row["input_size"] for row in lookup.values()} == set(INPUT_SIZES)
    mask = read_json(project / OUTPUT / "tool_mask_map.json")
    expected = {tool: list(range(243 * i, 243 * (i + 1))) for i, tool in enumerate(TOOLS)}
    assert list(mask.items()) == list(expected.items())
    assert all(lookup[str(i)]["tool_name"] == tool for tool, ids in mask.items() for i in ids)


def test_the_small_language_model_is_one_that_transformers_loads(project):
    folder = project / MODELS / "resource_encoder/small_language_model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.model_type == "qwen2"
    text = "The image captioning tool runs a small input, naïvely."
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    assert model(input_ids=ids).logits.isfinite().all()
    assert "trained from scratch" in (folder / "README.md").read_text()


def test_the_reports_tell_how_training_and_decoding_went(project):
    summary = read_json(project / REPORTS / "summary.json")
    history = pd.read_json(project / REPORTS / "history.jsonl", lines=True)
    assert summary["validation_loss"] == pytest.approx(history["validation_loss"].min())
    assert (summary["steps"], summary["reached"]) == (history["step"].max(), False)
    rates = read_json(project / REPORTS / "description_match.json")
    decoded = pd.read_json(project / OUTPUT / "decoded_descriptions.jsonl", lines=True, dtype=False)
    assert rates["configurations"]["texts"] == 1701
    assert rates["unseen_jitter"]["texts"] > 1600
    for name, rows in decoded.groupby("set"):
        exact = (rows["text"] == rows["decoded"]).mean()
        assert rates[name]["description"] == pytest.approx(exact)
    names = {path.name for path in (project / REPORTS).glob("*.png")}
    assert names == {"loss.png", "description_match.png", "config_weights.png", "decoder.png"}
    decoder = pd.read_json(project / REPORTS / "decoder_demonstration.jsonl", lines=True)
    assert set(decoder["start"]) == {"exported", "random", "shuffled"}


def test_a_second_run_trains_nothing(copied):
    def checkpoints():
        paths = sorted((copied / MODELS / "checkpoints").rglob("*.pt"))
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}

    trained, before = checkpoints(), artifacts(copied)
    assert {"small_language_model.pt", "encoder.pt", "exported-0.pt"} <= trained.keys()
    nodes = ("make_language_model", "pretrain_encoder", "export_weights", "demonstrate_decoder")
    result = run_in(copied, PIPELINES, f"--nodes={','.join(nodes)}")
    assert result.exit_code == 0, result.output
    assert checkpoints() == trained
    assert artifacts(copied) == before


@pytest.mark.parametrize("changed", ["data", "language_model"])
def test_an_encoder_of_something_else_is_not_exported(copied, tmp_path, changed):
    before = artifacts(copied)
    if changed == "data":
        # Another seed gives other latencies; the encoder is still the old one.
        configure(copied, seed=1)
        result = run_in(copied, "--pipelines=encoder_pretrain", "--nodes=load_tools")
        assert result.exit_code == 0, result.output
    else:
        configure(copied, language_model={"model": str(tiny_language_model(tmp_path / "llm"))})
    result = run_in(copied, "--pipelines=weight_export")
    assert result.exit_code == 1
    (error,) = re.findall("^Error: (.*)$", result.output, re.MULTILINE)
    reason = {"data": "seed: 0 -> 1", "language_model": "language_model: None -> "}[changed]
    assert error.startswith(f"pretrained_encoder is stale (encoder_pretrain.{reason}")
    assert "; run `kedro run --only-changed --pipelines=" in error
    assert "Traceback" not in result.output
    assert artifacts(copied) == before


@pytest.mark.parametrize(
    ("made", "node"),
    [("load_tools", "pretrain_encoder"), ("load_tools,describe_configs", "decode_descriptions")],
)
def test_descriptions_of_other_configurations_are_refused(copied, made, node):
    configure(copied, seed=1)
    result = run_in(copied, "--pipelines=encoder_pretrain", f"--nodes={made}")
    assert result.exit_code == 0, result.output
    result = run_in(copied, "--pipelines=encoder_pretrain", f"--nodes={node}")
    assert result.exit_code == 1
    (error,) = re.findall("^Error: (.*)$", result.output, re.MULTILINE)
    assert " is stale (tool_configs changed)" in error


def test_an_extra_that_is_not_installed_is_told_before_anything_is_trained(copied, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    configure(copied, wandb={"project": "tools"})
    result = run_in(copied, "--pipelines=encoder_pretrain")
    assert result.exit_code == 1
    assert "Node" not in result.output
    (error,) = re.findall("^Error: (.*)$", result.output, re.MULTILINE)
    assert error == 'wandb is not installed; pip install -e ".[wandb]"'


PROFILE = """tool_name,input_size,cpu_cores,memory_gb,gpu_sm,gpu_memory_gb,latency_ms
glue,small,2,0.7,20,2,1.809
cut,large,4,8.5,40,4,90.25
glue,medium,8,16,60,8,33
"""


@pytest.mark.parametrize("brings_language_model", [True, False])
def test_tools_of_the_users_own_go_through_to_the_export(
    tmp_path, monkeypatch, brings_language_model
):
    project = make_project(tmp_path / "project")
    tools = {"cut": "Parts.", "glue": "Joins."}
    rows = [{"tool_name": name, "description": text} for name, text in tools.items()]
    (project / "tools.json").write_text(json.dumps(rows))
    (project / "profile.csv").write_text(PROFILE)
    configure(
        project,
        tool_registry="tools.json",
        tool_configs="profile.csv",
        training={"max_epochs": 1, "batch_size": 2},
    )
    if brings_language_model:
        configure(project, language_model={"model": str(tiny_language_model(tmp_path / "llm"))})
    monkeypatch.chdir(project)
    result = run_in(project, PIPELINES)
    assert result.exit_code == 0, result.output
    lookup = read_json(project / OUTPUT / "config_lookup.json")
    assert [row["tool_name"] for row in lookup.values()] == ["cut", "glue", "glue"]
    assert lookup["0"] == {
        "tool_name": "cut",
        "input_size": "large",
        "cpu_cores": 4,
        "memory_gb": 8.5,
        "gpu_sm": 40,
        "gpu_memory_gb": 4.0,
        "latency_ms": 90.25,
    }
    assert read_json(project / OUTPUT / "tool_mask_map.json") == {"cut": [0], "glue": [1, 2]}
    content = read_tensors(project / OUTPUT / "config_weights.pt")
    small = project / MODELS / "resource_encoder/small_language_model"
    folder = tmp_path / "llm" if brings_language_model else small
    hidden_size = read_json(folder / "config.json")["hidden_size"]
    assert content["weights"].shape == (3, hidden_size)
    name = str(folder) if brings_language_model else "small (made here)"
    assert content["language_model_name"] == name
    assert small.exists() != brings_language_model
