"""The density pipeline: what its nodes publish, and what they say."""

import json
import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from support import messages_of

from embedlab.encoders.embeddings import Embeddings
from embedlab.pipelines.density.nodes import (
    evaluate_reward_models,
    make_reward_pairs,
    weigh_prefixes,
)
from embedlab.pipelines.density.parameters import DensityParameters
from embedlab.text_table import as_ids


def weigh(n_prefixes, **changes):
    """Weigh prefixes of which the last lies far from a cluster, in another direction."""
    ids = [f"{i:02}" for i in range(n_prefixes)]
    embeddings = np.random.default_rng(0).normal(size=(n_prefixes, 8)).astype(np.float32)
    embeddings[:-1] += 5
    embeddings[-1] -= 20
    metadata = {
        "embedding_dim": 8,
        "model": "m",
        "fingerprint": "f",
        "id_scheme": "s",
    }
    parameters = DensityParameters.model_validate({"k": 5} | changes)
    return weigh_prefixes(Embeddings(embeddings, as_ids(ids), metadata, "m.prefixes"), parameters)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("estimator", ["mean_distance", "kth_distance"])
def test_the_far_prefix_has_the_greatest_weight(metric, estimator):
    weights, ids, metadata = weigh(40, metric=metric, estimator=estimator)
    assert weights.argmax() == 39
    assert weights.mean() == pytest.approx(1, abs=1e-6)
    assert len(ids) == metadata["n_items"] == 40
    assert (metadata["k"], metadata["uniform"], metadata["recall"]) == (5, False, 1)
    assert (metadata["metric"], metadata["estimator"]) == (metric, estimator)
    json.dumps(metadata)


@pytest.mark.parametrize("n_prefixes", [1, 5])
def test_too_few_prefixes_have_uniform_weights_and_a_warning(caplog, n_prefixes):
    weights, _, metadata = weigh(n_prefixes)
    assert weights.tolist() == [1] * n_prefixes
    assert (metadata["uniform"], metadata["k"], metadata["recall"]) == (True, 5, None)
    assert metadata["duplicates"] is None
    assert messages_of(caplog, logging.WARNING) == [
        f"{n_prefixes} prefixes are too few for k = 5 neighbours: all weights are 1; "
        "lower density.k"
    ]


def test_beyond_the_limit_the_index_is_approximate_and_its_recall_is_told():
    exact, _, _ = weigh(400)
    weights, _, metadata = weigh(400, exact_up_to=399)
    assert 0.95 <= metadata["recall"] <= 1
    assert np.corrcoef(exact, weights)[0, 1] > 0.99


def test_ids_pass_through_as_they_are():
    ids = pa.chunked_array([["a", "b"], ["c"]])
    metadata = dict.fromkeys(("embedding_dim", "model", "fingerprint", "id_scheme"))
    embeddings = Embeddings(np.eye(3, dtype=np.float32), ids, metadata, "e.prefixes")
    assert weigh_prefixes(embeddings, DensityParameters(k=1))[1] is ids


@pytest.mark.parametrize("ids", [["a", "b"], pa.chunked_array([["a"], ["b"]])])
def test_pairs_get_the_weight_and_the_quintile_of_their_prefix(ids):
    prefixes = [{"messages": [{"role": "user", "content": text}]} for text in "baa"]
    pairs = pd.DataFrame({"prefix": prefixes, "chosen": list("xyz"), "rejected": "no"})
    pairs = pairs.assign(prefix_id=list("baa"), src="s")
    made = make_reward_pairs(pairs, np.array([0.5, 1.5], np.float32), ids)
    assert made["weight"].tolist() == [1.5, 0.5, 0.5]
    assert made["quintile"].tolist() == [4, 2, 2]


def evaluate(**changes):
    tested = pd.DataFrame(
        {
            "seed": 0,
            "pair": range(10),
            "prefix_id": list("aabbccddee"),
            "src": "only",
            "weight": 1.0,
            "quintile": np.repeat([1, 2, 3, 4, 5], 2),
            "cosine": 0.1,
            "longer": [3, -3] * 5,
            "uniform": 1.0,
            "density": 1.0,
        }
    ).assign(**changes)
    return evaluate_reward_models(tested, DensityParameters(num_resamples=50))


def test_one_source_is_said_in_one_line(caplog):
    metrics, _ = evaluate()
    assert messages_of(caplog, logging.WARNING) == [
        "All pairs are of one source, only: by_source adds nothing"
    ]
    assert list(metrics["models"]["uniform"]["by_source"]) == ["only"]


def test_models_stand_beside_baselines():
    metrics, figure = evaluate(src=list("ab") * 5)
    accuracies = {model: cell["accuracy"]["mean"] for model, cell in metrics["models"].items()}
    assert accuracies == {"uniform": 1, "density": 1, "cosine": 1, "longer": 0.5}
    rare = metrics["density_against_uniform"]["rare_quintile"]
    assert (rare["p_value"], rare["n_prefixes"], rare["low"]) == (1, 1, None)
    (axes,) = figure.axes
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(accuracies)
    assert axes.get_xlabel() == "density quintile of the prefix"


def test_no_rare_pair_is_said_in_one_line(caplog):
    metrics, _ = evaluate(quintile=1, src=list("ab") * 5)
    assert metrics["density_against_uniform"]["rare_quintile"] is None
    assert "No pair of the rare quintile is in a test split" in caplog.text


def test_published_artifacts_belong_together(finished_project):
    folder = finished_project / "data"
    weights = np.load(folder / "04_feature/density/density_weights.npy", allow_pickle=False)
    ids = json.loads((folder / "04_feature/density/density_ids.json").read_text())
    metadata = json.loads((folder / "04_feature/density/density_metadata.json").read_text())
    pairs = pd.read_parquet(folder / "05_model_input/reward_pairs.parquet")
    sample = json.loads((folder / "05_model_input/density_sample.json").read_text())
    assert weights.dtype == np.float32
    assert weights.shape == (len(ids),) == (metadata["n_items"],)
    expected = pairs["prefix_id"].map(dict(zip(ids, weights, strict=True)))
    assert pairs["weight"].to_numpy() == pytest.approx(expected.to_numpy())
    by_quintile = pairs.groupby("quintile")["weight"].agg(["min", "max"])
    assert (by_quintile["max"].to_numpy()[:-1] <= by_quintile["min"].to_numpy()[1:]).all()
    assert set(sample) <= set(ids)
    assert len(sample) == 1000
    model = torch.load(folder / "06_models/reward_model.pt", weights_only=True)
    assert {"uniform", "density"} <= set(model)
    reports = {path.name for path in (folder / "08_reporting/density").iterdir()}
    assert {"weights.png", "map.png", "accuracy_by_quintile.png"} <= reports
