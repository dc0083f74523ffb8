"""Novelty of GSM8K's pairs, with SQuAD as another source, over five seeds.

pytest tests/benchmarks/test_novelty_gsm8k.py -n 0 -s
"""

import json

import pytest
import yaml
from support import kedro, make_project


@pytest.fixture(scope="module")
def project(shared_data, tmp_path_factory):
    """A project whose pairs are these, embedded by minilm."""
    folder = make_project(tmp_path_factory.mktemp("novelty") / "project")
    gsm8k = [
        {"path": "gsm8k", "files": [str(shared_data / "gsm8k" / f"{split}.jsonl")], "split": split}
        for split in ("train", "test")
    ]
    source = {
        "source": "problem_solution",
        "data": gsm8k,
        "relevant_pairs": {"root": str(shared_data), "sets": ["squad-dev"]},
    }
    local = {
        "data_ingestion": {"problem_solutions": source, "retrieval_sets": []},
        "embedding_cache": {"collections": ["novelty_pairs", "novelty_pairs_concat"]},
        "rnd": {"baseline": {"num_seeds": 5}},
    }
    (folder / "conf" / "local").mkdir(exist_ok=True)
    (folder / "conf" / "local" / "parameters.yml").write_text(yaml.safe_dump(local))
    result = kedro(folder, "run", "--pipelines=data_ingestion,embedding_cache", timeout=1200)
    assert result.returncode == 0, result.stderr
    return folder


def test_every_experiment_is_compared_with_the_detectors(project):
    result = kedro(project, "run", "--pipelines=rnd", timeout=1200)
    assert result.returncode == 0, result.stderr
    reports = project / "data" / "08_reporting" / "rnd"
    comparison = json.loads((reports / "comparison.json").read_text())
    print("\n" + (reports / "comparison.tex").read_text())
    for row in comparison:
        for novel in ("out_of_distribution", "shuffled"):
            leads = {
                method: "{mean:+.3f} [{low:+.3f}, {high:+.3f}]".format(**cell["rnd_lead"])
                for method, cell in row[novel].items()
                if method != "rnd"
            }
            fpr95 = {method: round(cell["fpr95"]["mean"], 3) for method, cell in row[novel].items()}
            print(row["experiment"], novel, "RND's lead in AUROC:", leads, "FPR@95:", fpr95)
    assert len(comparison) == 10
    assert all(row["num_seeds"] == 5 for row in comparison)
