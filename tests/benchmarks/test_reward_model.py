"""Reward models on arguments that people found more and less convincing.

pytest tests/benchmarks/test_reward_model.py -n 0 -s
"""

import json

import pytest
import yaml
from support import kedro, make_project

SEEDS = [0, 1, 2, 3, 4]


@pytest.fixture(scope="module")
def project(shared_data, tmp_path_factory):
    """A project whose preference pairs are these arguments, embedded by minilm."""
    folder = make_project(tmp_path_factory.mktemp("reward") / "project")
    source = {
        "source": "hh_rlhf",
        "data": [{"files": [str(shared_data / "pref-ukpconvarg1" / "pairs.jsonl")]}],
        "prompt_columns": ["topic", "stance"],
        "src_column": "topic",
    }
    local = {
        "data_ingestion": {"preference_pairs": source, "retrieval_sets": []},
        "embedding_cache": {"collections": ["prefixes", "responses"]},
        "density": {"k": 5, "reward_model": {"seeds": SEEDS}},
    }
    (folder / "conf" / "local").mkdir(exist_ok=True)
    (folder / "conf" / "local" / "parameters.yml").write_text(yaml.safe_dump(local))
    result = kedro(folder, "run", "--pipelines=data_ingestion,embedding_cache", timeout=600)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.parametrize("exponent", [1, 10])
def test_both_models_beside_the_baselines(project, exponent):
    option = f"--params=density.exponent={exponent}"
    result = kedro(project, "run", "--pipelines=density", option, timeout=900)
    assert result.returncode == 0, result.stderr
    reports = project / "data" / "08_reporting" / "density"
    metrics = json.loads((reports / "reward_model_metrics.json").read_text())
    history = json.loads((reports / "reward_model_history.json").read_text())
    runs = [run for by_variant in history.values() for run in by_variant.values()]
    seconds = sum(epoch["seconds"] for run in runs for epoch in run)
    table = result.stderr.partition("accuracy in points:\n")[2].partition("Report:")[0]
    print(f"\nexponent {exponent}, {seconds / len(runs):.1f} s a model from the cache\n{table}")
    assert metrics["seeds"] == SEEDS
    for model in ("uniform", "density"):
        assert metrics["models"][model]["accuracy"]["low"] > 0.5
