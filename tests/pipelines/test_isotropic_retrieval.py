"""The isotropic_retrieval pipeline as a user runs it."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from sentence_transformers import SentenceTransformer
from support import kedro, make_project

from embedlab.sources.retrieval_set import full_texts
from embedlab.tensor_files import read_tensors
from embedlab.text_table import open_table

REPORTS = "data/08_reporting"


def report(project, name):
    return json.loads((project / REPORTS / name).read_text())


def test_the_default_run_trains_compares_and_tells(finished_project):
    model = read_tensors(finished_project / "data/06_models/isotropic/best_model.pt")
    assert model["input_dim"] == 64
    assert model["base"] is None
    history = pd.read_json(
        finished_project / REPORTS / "isotropic/isotropic_history.jsonl", lines=True
    )
    summary = report(finished_project, "isotropic/isotropic_summary.json")
    assert history["nDCG@10"].max() == pytest.approx(summary["best"])
    assert history["nDCG@10"].iloc[0] == pytest.approx(summary["start"])
    assert {"loss", "contrastive", "isotropy", "reg"} <= set(history)
    rows = report(finished_project, "isotropic/ablations.json")
    names = [row["variant"] for row in rows]
    assert names == ["base", "untrained", "full", "covariance_1", "mlp_isometry"]
    base, untrained, full = rows[:3]
    # Its start ranks as the base does, and `full` is what isotropic_model is.
    assert untrained["average"] == base["average"]
    metrics = report(finished_project, "evaluation_metrics.json")["library_docs"]
    assert full["average"] == pytest.approx(metrics["isotropic"]["nDCG@10"]["mean"], abs=1e-6)
    assert base["average"] == pytest.approx(metrics["hashing"]["nDCG@10"]["mean"], abs=1e-6)


def test_vectors_of_the_projection_belong_to_the_texts_of_its_base(finished_project):
    features = finished_project / "data/04_feature"
    for part in ("queries", "corpus"):
        own, base = (features / name / f"library_docs_{part}" for name in ("isotropic", "hashing"))
        assert (own / "ids.json").read_text() == (base / "ids.json").read_text()
        assert np.load(own / "embeddings.npy").shape == np.load(base / "embeddings.npy").shape


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A project whose projection is over a real encoder, so that it can be exported."""
    project = make_project(tmp_path_factory.mktemp("exported") / "project")
    changes = {
        "embedding_cache": {
            "encoders": ["minilm"],
            "collections": ["retrieval_queries", "retrieval_documents"],
            "execution": {"precision": "float32"},
        },
        "isotropic_retrieval": {
            "retrieval": {"projection": {"output_dim": 100}, "projection_learning_rate": 0.001},
            "ablations": {"only": []},
        },
    }
    for name, values in changes.items():
        path = project / "conf" / "test" / f"parameters_{name}.yml"
        path.write_text(yaml.safe_dump({name: values}))
    pipelines = "--pipelines=data_ingestion,embedding_cache,isotropic_retrieval"
    result = kedro(project, "run", "--env=test", pipelines)
    assert result.returncode == 0, result.stderr
    return project


def test_the_exported_folder_gives_the_same_vectors(exported):
    model = SentenceTransformer(
        str(exported / "data/06_models/isotropic/sentence_transformer"), device="cpu"
    )
    folder = exported / "data/03_primary/beir/library_docs"
    queries = pd.read_json(folder / "queries.jsonl", lines=True)
    vectors = exported / "data/04_feature/isotropic"
    for part, texts, encode in (
        ("queries", queries["text"].tolist(), model.encode_query),
        ("corpus", list(full_texts(open_table(folder / "corpus.arrow"))), model.encode_document),
    ):
        expected = np.load(vectors / f"library_docs_{part}" / "embeddings.npy")
        assert expected.shape[1] == 100
        np.testing.assert_allclose(encode(texts), expected, atol=1e-5)
    assert model.similarity_fn_name == "euclidean"


def test_the_model_card_tells_data_parameters_and_metrics(exported):
    card = (exported / "data/06_models/isotropic/sentence_transformer/README.md").read_text()
    summary = report(exported, "isotropic/isotropic_summary.json")
    assert card.startswith("---\n")
    assert "| library_docs/kedro |" in card
    assert "| objective.lambda_isotropy | 0.01 |" in card
    assert f"| best | {summary['best']:.4g} |" in card
