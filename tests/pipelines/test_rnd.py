"""The rnd pipeline: what it publishes, killed and resumed, and when an experiment fails."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import yaml
from support import ROOT, kedro

from embedlab.errors import InputError
from embedlab.pipelines.rnd.nodes import report_failures
from embedlab.pipelines.rnd.parameters import RNDParameters

NAMES = ["baseline_hashing", "concatenated_hashing", "few_samples_hashing"]
PLOTS = {
    "training_loss",
    "novelty_histograms",
    "normalised_novelty",
    "roc",
    "novelty_by_distance",
    "novelty_map",
}


def shipped(**changes):
    raw = yaml.safe_load((ROOT / "conf/base/parameters_rnd.yml").read_text())["rnd"]
    return RNDParameters.model_validate(raw | changes)


def test_ten_experiments_ship_for_each_encoder():
    experiments = shipped().named(["gte", "granite", "granite-small"])
    assert len(experiments) == 30
    assert experiments["baseline_granite-small"].encoder_name == "granite-small"
    configurations = {own.model_dump_json() for own in experiments.values()}
    assert len(configurations) == 30


def test_an_experiment_is_the_baseline_but_for_what_it_says():
    parameters = shipped(baseline={"num_epochs": 7}, experiments={"a": {"seed": 3}, "b": None})
    assert (parameters.experiments["a"].num_epochs, parameters.experiments["a"].seed) == (7, 3)
    assert parameters.experiments["b"].num_epochs == 7


def test_a_named_encoder_is_the_only_one():
    experiments = shipped(experiments={"mine": {"encoder_name": "gte"}}).named(["minilm", "gte"])
    assert list(experiments) == ["mine"]


def test_experiments_are_found_by_the_vectors_that_they_use():
    experiments = {"a": None, "b": {"concat_problem_answer": True}, "c": {"encoder_name": "gte"}}
    parameters = shipped(experiments=experiments)
    assert list(parameters.of_vectors("minilm", "novelty_pairs")) == ["a_minilm"]
    assert list(parameters.of_vectors("minilm", "novelty_pairs_concat")) == ["b_minilm"]
    assert list(parameters.of_vectors("gte", "novelty_pairs")) == ["a_gte", "c"]


def test_only_those_asked_for_are_run():
    assert list(shipped(only=["deep"]).named(["minilm"])) == ["deep_minilm"]
    with pytest.raises(InputError, match="only: no experiment is called deeep; there are baseline"):
        shipped(only=["deeep"])


def test_two_experiments_of_one_name_are_refused():
    experiments = {"a": None, "a_gte": {"encoder_name": "minilm"}}
    with pytest.raises(ValueError, match="two experiments would be called a_gte; rename one"):
        shipped(experiments=experiments).named(["gte"])


def test_failures_end_the_run_with_one_line():
    report_failures([], first={"a": None})
    with pytest.raises(InputError, match="1 of 3 experiments failed: b: too wild"):
        report_failures([], first={"a": None, "b": "too wild"}, second={"c": None})


def test_published_artifacts_belong_together(finished_project):
    results = finished_project / "data/07_model_output/rnd"
    reports = finished_project / "data/08_reporting/rnd"
    for name in NAMES:
        result = json.loads((results / f"precomp_{name}.json").read_text())
        assert [run["seed"] for run in result["runs"]] == [0, 1]
        assert (results / f"precomp_{name}.pt").is_file()
        plots = reports.glob(f"precomp_{name}_*")
        assert {path.stem.removeprefix(f"precomp_{name}_") for path in plots} == PLOTS
    comparison = json.loads((reports / "comparison.json").read_text())
    assert sorted(row["experiment"] for row in comparison) == sorted(NAMES)
    table = pd.read_csv(reports / "comparison.csv")
    assert "out_of_distribution.rnd.auroc.mean" in table
    assert (reports / "comparison.tex").read_text().startswith("\\begin{tabular}")
    assert (reports / "comparison.png").is_file()


def test_a_killed_batch_completes_only_what_was_missing(finished_project, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(finished_project, project)
    results = project / "data/07_model_output/rnd"
    shutil.rmtree(results)
    first = results / "precomp_baseline_hashing.json"
    command = [sys.executable, "-m", "kedro", "run", "--env=test", "--pipelines=rnd"]
    process = subprocess.Popen(command, cwd=project, stderr=subprocess.DEVNULL)
    while process.poll() is None and not first.exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (results / "precomp_concatenated_hashing.json").exists()
    kept = first.stat().st_ino
    result = kedro(project, "run", "--env=test", "--pipelines=rnd")
    assert result.returncode == 0, result.stderr
    assert "baseline_hashing: finished before, skipped" in result.stderr
    assert "concatenated_hashing: finished before" not in result.stderr
    assert first.stat().st_ino == kept
    assert {path.stem for path in results.glob("*.json")} == {f"precomp_{n}" for n in NAMES}


def test_a_failed_experiment_is_told_at_the_end(finished_project, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(finished_project, project)
    path = project / "conf/test/parameters_rnd.yml"
    parameters = yaml.safe_load(path.read_text())
    parameters["rnd"]["experiments"]["few_samples"]["num_train_samples"] = 1000
    path.write_text(yaml.safe_dump(parameters))
    reports = project / "data/08_reporting/rnd"
    shutil.rmtree(reports)
    result = kedro(project, "run", "--env=test", "--pipelines=rnd")
    assert result.returncode == 1
    error = result.stderr.strip().splitlines()[-1]
    assert error.startswith(
        "Error: 1 of 3 experiments failed: few_samples_hashing: num_train_samples is 1000, but "
    )
    finished = json.loads((reports / "comparison.json").read_text())
    assert {row["experiment"] for row in finished} == set(NAMES) - {"few_samples_hashing"}
    assert len(list(reports.glob("precomp_*.png"))) == 18
