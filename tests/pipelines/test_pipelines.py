"""Whole pipelines on the test environment, as a user runs them."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
import yaml
from support import kedro


@pytest.fixture
def copy_of_finished(finished_project, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(finished_project, project)
    return project


def artifacts(project):
    """The bytes of every artifact that holds no timings."""
    paths = (path for path in (project / "data").rglob("[!.]*") if path.is_file())
    return {path.relative_to(project): path.read_bytes() for path in paths if path.suffix != ".png"}


def encoded(result):
    return sum(map(int, re.findall(r"items: (\d+) texts encoded", result.stderr)))


def test_a_second_run_encodes_nothing_and_gives_the_same_bytes(copy_of_finished):
    before = artifacts(copy_of_finished)
    result = kedro(copy_of_finished, "run", "--env=test")
    assert result.returncode == 0, result.stderr
    assert encoded(result) == 0
    assert artifacts(copy_of_finished) == before
    assert re.search(r"Report: .*evaluation_metrics\.json", result.stderr)


@pytest.mark.parametrize("pipeline", ["data_ingestion", "embedding_cache", "density", "evaluation"])
def test_each_pipeline_runs_alone_from_existing_artifacts(copy_of_finished, pipeline):
    before = artifacts(copy_of_finished)
    result = kedro(copy_of_finished, "run", "--env=test", f"--pipelines={pipeline}")
    assert result.returncode == 0, result.stderr
    assert artifacts(copy_of_finished) == before


def test_published_vectors_are_what_their_metadata_says(finished_project):
    folder = finished_project / "data/04_feature/hashing/problem_solutions"
    metadata = json.loads((folder / "embeddings_metadata.json").read_text())
    embeddings = np.load(folder / "embeddings.npy", allow_pickle=False)
    ids = json.loads((folder / "ids.json").read_text())
    assert embeddings.dtype == np.float32
    assert embeddings.shape == (metadata["n_items"], metadata["embedding_dim"])
    assert metadata["embedding_dim"] == 2 * 64
    assert len(set(ids)) == len(ids) == metadata["n_items"]
    assert metadata["norm"]["mean"] == pytest.approx(np.sqrt(2), abs=1e-5)
    assert re.fullmatch("[0-9a-f]{64}", metadata["fingerprint"])


def test_problem_and_solution_are_two_vectors_end_to_end_or_one(finished_project):
    folder = finished_project / "data/04_feature/hashing"
    vectors, ids = {}, {}
    for name in ("novelty_pairs", "novelty_pairs_concat"):
        vectors[name] = np.load(folder / name / "embeddings.npy", allow_pickle=False)
        ids[name] = json.loads((folder / name / "ids.json").read_text())
    assert vectors["novelty_pairs"].shape[1] == 2 * 64
    assert vectors["novelty_pairs_concat"].shape[1] == 64
    rows = (finished_project / "data/03_primary/novelty_pairs.jsonl").read_text().splitlines()
    pairs = [json.loads(row)["id"] for row in rows]
    assert ids["novelty_pairs"] == ids["novelty_pairs_concat"] == pairs


def test_on_demand_items_become_one_file(copy_of_finished):
    messages = [{"role": "user", "content": "Hi!"}, {"role": "assistant", "content": "Hello."}]
    items = [{"id": "a", "prefix": {"messages": messages}}, {"id": 2, "prompt": "Hi!\nHello."}]
    (copy_of_finished / "items.jsonl").write_text("\n".join(map(json.dumps, items)))
    result = kedro(
        copy_of_finished,
        "run",
        "--env=test",
        "--pipelines=embedding_cache",
        "--tags=on_demand",
        "--params=embedding_cache.on_demand.path=items.jsonl",
    )
    assert result.returncode == 0, result.stderr
    content = torch.load(
        copy_of_finished / "data/04_feature/on_demand_embeddings.pt", weights_only=True
    )
    assert content["ids"] == ["a", "2"]
    assert content["emb"].dtype == torch.float32
    assert content["emb"].norm(dim=1).numpy() == pytest.approx(1)
    assert torch.equal(content["emb"][0], content["emb"][1])


def test_another_encoder_takes_four_lines(copy_of_finished):
    path = copy_of_finished / "conf/test/parameters_embedding_cache.yml"
    parameters = yaml.safe_load(path.read_text())
    parameters["encoders"]["wide"] = {"kind": "hashing", "dimension": 128}
    parameters["embedding_cache"]["encoders"] = ["hashing", "wide"]
    path.write_text(yaml.safe_dump(parameters))
    result = kedro(copy_of_finished, "run", "--env=test", "--pipelines=embedding_cache,evaluation")
    assert result.returncode == 0, result.stderr
    metrics = json.loads(
        (copy_of_finished / "data/08_reporting/evaluation_metrics.json").read_text()
    )
    assert list(metrics["library_docs"]) == ["bm25", "hashing", "wide", "isotropic"]
    folder = copy_of_finished / "data/04_feature/wide/prefixes"
    assert np.load(folder / "embeddings.npy").shape[1] == 128


def test_trec_runs_are_written_on_request(copy_of_finished):
    option = "--params=evaluation.trec_runs=true"
    result = kedro(copy_of_finished, "run", "--env=test", "--pipelines=evaluation", option)
    assert result.returncode == 0, result.stderr
    lines = (copy_of_finished / "data/08_reporting/runs/bm25.library_docs.trec").read_text()
    assert re.fullmatch(r"\S+ Q0 \S+ 1 \d+\.\d+ bm25", lines.splitlines()[0])


@pytest.mark.parametrize("runner", ["ThreadRunner", "ParallelRunner"])
def test_a_runner_that_would_change_numbers_is_refused_before_any_node(finished_project, runner):
    result = kedro(finished_project, "run", "--env=test", f"--runner={runner}")
    assert result.returncode == 1
    assert re.findall("Error: .*", result.stderr) == [
        f"Error: {runner} is not supported: trainings share torch's random numbers and threads; "
        "leave out --runner (training and encoding can use several processes)"
    ]
    assert "Node " not in result.stderr
    assert "Traceback" not in result.stderr
