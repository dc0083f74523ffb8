"""Reward models: the loss, the head, what both variants share, and what their metrics say."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import kedro

from embedlab.density.preference import (
    compare_reward_models,
    correctness,
    cosine_margins,
    format_accuracies,
    summarise_margins,
)
from embedlab.density.reward_head import RewardHead, RewardHeadParameters
from embedlab.density.reward_model import (
    VARIANTS,
    RewardModelParameters,
    load_reward_head,
    train_reward_models,
)
from embedlab.errors import InputError
from embedlab.losses.bradley_terry import bradley_terry_loss
from embedlab.statistics.standardise import Standardise
from embedlab.training.checkpoints import CheckpointFolder

N_PREFIXES, N_PAIRS, DIMENSION = 60, 360, 16


def planted(seed=0):
    """Pairs whose chosen response lies further along one direction, and their embeddings."""
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(2 * N_PAIRS, 2 * DIMENSION)).astype(np.float32)
    embeddings[:N_PAIRS, -1] += 3
    prefixes = np.arange(N_PAIRS) % N_PREFIXES
    pairs = pd.DataFrame(
        {
            "prefix_id": [f"prefix {i}" for i in prefixes],
            "src": "planted",
            "chosen_row": np.arange(N_PAIRS),
            "rejected_row": N_PAIRS + np.arange(N_PAIRS),
            "weight": np.linspace(0.5, 1.5, N_PREFIXES)[prefixes],
            "quintile": 1 + 5 * prefixes // N_PREFIXES,
        }
    )
    return pairs, embeddings


def parameters(**changes):
    raw = {"training": {"max_epochs": 15, "batch_size": 32, "learning_rate": 0.003}}
    return RewardModelParameters.model_validate(raw | changes)


def trained(folder, embeddings_change=0, **changes):
    pairs, embeddings = planted()
    return train_reward_models(
        pairs, embeddings + embeddings_change, parameters(**changes), CheckpointFolder(folder)
    )


@given(st.lists(st.tuples(*[st.floats(-80, 80)] * 2), min_size=1, max_size=10))
def test_the_loss_is_the_log_likelihood_of_a_win(rewards):
    chosen, rejected = torch.tensor(rewards, dtype=torch.float64).T
    expected = -torch.log(torch.sigmoid(chosen - rejected))
    assert torch.allclose(bradley_terry_loss(chosen, rejected), expected, atol=1e-9)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_both_heads_learn_a_planted_direction(tmp_path, kind):
    _, margins, history = trained(tmp_path, head={"kind": kind})
    assert correctness(margins["uniform"]).mean() > 0.75
    assert correctness(margins["density"]).mean() > 0.75
    assert set(history["0"]) == {"uniform", "density"}


def test_variants_share_initialisation_and_order(tmp_path):
    _, same, _ = trained(tmp_path / "none", weight_mode="none")
    assert np.array_equal(same["uniform"], same["density"])
    _, weighted, _ = trained(tmp_path / "linear")
    assert np.array_equal(same["uniform"], weighted["uniform"])
    assert not np.array_equal(weighted["uniform"], weighted["density"])


def test_the_weights_of_the_loss_are_what_counts(tmp_path):
    """Where the rare prefixes prefer the other direction, weighting turns the head."""
    pairs, embeddings = planted()
    rare = pairs["quintile"] == 5
    pairs.loc[rare, ["chosen_row", "rejected_row"]] = pairs.loc[
        rare, ["rejected_row", "chosen_row"]
    ].to_numpy()
    pairs["weight"] = np.where(rare, 30.0, 1.0)
    options = parameters(weight_cap=None, head={"kind": "linear"})
    _, margins, _ = train_reward_models(pairs, embeddings, options, CheckpointFolder(tmp_path))
    tested = margins.join(pairs, on="pair")
    tested = tested[tested["quintile"] == 5]
    assert correctness(tested["density"]).mean() > 0.7 > 0.4 > correctness(tested["uniform"]).mean()


def test_no_prefix_is_tested_that_was_trained_on(tmp_path):
    pairs, _ = planted()
    _, margins, _ = trained(tmp_path, seeds=[0, 1], split=[0.5, 0.25, 0.25])
    assert list(margins["seed"].unique()) == [0, 1]
    for _, part in margins.groupby("seed"):
        tested = pairs.loc[part["pair"], "prefix_id"]
        assert tested.nunique() == 15
        assert len(tested) == pairs["prefix_id"].isin(tested).sum()


def test_the_saved_heads_give_the_margins_of_the_first_seed(tmp_path):
    pairs, embeddings = planted()
    model, margins, _ = trained(tmp_path, seeds=[3, 4])
    first = margins[margins["seed"] == 3]
    tested = pairs.loc[first["pair"]]
    for variant in ("uniform", "density"):
        head = load_reward_head(model, variant)
        with torch.no_grad():
            chosen, rejected = (
                head(torch.from_numpy(embeddings[tested[name]]))
                for name in ("chosen_row", "rejected_row")
            )
        assert (chosen - rejected).numpy() == pytest.approx(first[variant].to_numpy(), abs=1e-5)


def test_statistics_are_those_of_training_responses_and_never_change():
    head = RewardHead(8, RewardHeadParameters(kind="linear"))
    responses = torch.randn(500, 8) * 3 + 1
    head.fit_statistics(responses)
    features = torch.cat([responses[:, 4:], responses[:, :4] * responses[:, 4:]], dim=1)
    expected = (features - features.mean(0)) / features.std(0, correction=0)
    assert torch.allclose(head.standardise(features), expected, atol=1e-5)
    before = head.standardise.mean.clone()
    head.train()(torch.randn(50, 8))
    assert torch.equal(head.standardise.mean, before)


def test_what_is_constant_in_training_is_not_blown_up_elsewhere():
    standardise = Standardise(2)
    standardise.fit(torch.tensor([[0.1, 1.0], [0.1, 3.0]]))
    assert standardise(torch.tensor([[0.6, 2.0]])).tolist() == [[0.5, 0.0]]


def test_only_what_the_weights_change_is_trained_again(tmp_path):
    trained(tmp_path)
    uniform, density = ((tmp_path / f"{name}-0.pt").stat().st_ino for name in VARIANTS)
    trained(tmp_path, weight_mode="sqrt")
    assert (tmp_path / "uniform-0.pt").stat().st_ino == uniform
    assert (tmp_path / "density-0.pt").stat().st_ino != density


def test_all_pairs_of_one_prefix_are_refused(tmp_path):
    pairs, embeddings = planted()
    with pytest.raises(InputError, match="prefix_id: 360 pairs with 1 distinct value"):
        train_reward_models(
            pairs.assign(prefix_id="a"), embeddings, parameters(), CheckpointFolder(tmp_path)
        )


# --- metrics -------------------------------------------------------------------------------------


def scored_pairs():
    """Four prefixes of two pairs each; the density model wins one pair more, of the rarest."""
    uniform = [1, 1, 1, -1, 1, 1, -1, 0]
    return pd.DataFrame(
        {
            "seed": 0,
            "pair": range(8),
            "prefix_id": list("aabbccdd"),
            "src": ["x"] * 4 + ["y"] * 4,
            "weight": [1.0, 1, 1, 1, 2, 2, 3, 3],
            "quintile": [1, 1, 2, 2, 4, 4, 5, 5],
            "uniform": uniform,
            "density": [*uniform[:6], 1, 0],
        }
    )


def test_accuracies_are_counted_as_said():
    tested = scored_pairs()
    uniform = summarise_margins(tested, ["uniform"], 200, 0)["uniform"]
    assert uniform["accuracy"]["mean"] == pytest.approx(5.5 / 8)
    assert uniform["weighted_accuracy"]["mean"] == pytest.approx((3 + 4 + 1.5) / 14)
    by_quintile = {q: cell["mean"] for q, cell in uniform["by_quintile"].items()}
    assert by_quintile == {"1": 1, "2": 0.5, "4": 1, "5": 0.25}
    assert {s: cell["n_pairs"] for s, cell in uniform["by_source"].items()} == {"x": 4, "y": 4}
    assert uniform["accuracy"]["low"] < 5.5 / 8 < uniform["accuracy"]["high"]
    assert uniform["by_quintile"]["5"] == {
        **{"mean": 0.25, "low": None, "high": None},
        **{"n_prefixes": 1, "n_pairs": 2, "mean_margin": -0.5},
    }
    assert uniform["margin"]["mean"] == pytest.approx(np.mean(tested["uniform"]))
    json.dumps(uniform)


def test_intervals_resample_prefixes_and_not_pairs():
    """A hundred copies of each pair are no more evidence."""
    tested = scored_pairs()
    copies = pd.concat([tested] * 100)
    once, often = (summarise_margins(t, ["uniform"], 500, 0)["uniform"] for t in (tested, copies))
    assert often["accuracy"] == pytest.approx(once["accuracy"])


def test_models_are_compared_on_the_same_pairs():
    tested = scored_pairs()
    rare = compare_reward_models(tested[tested["quintile"] == 5], "density", "uniform", 1000, 0)
    assert rare["mean"] == pytest.approx(0.5)
    assert rare["p_value"] == 1  # one prefix: no evidence
    assert (rare["n_prefixes"], rare["n_pairs"]) == (1, 2)
    many = pd.concat([tested.assign(prefix_id=tested["prefix_id"] + str(i)) for i in range(20)])
    assert compare_reward_models(many, "density", "uniform", 1000, 0)["p_value"] < 0.01
    assert compare_reward_models(tested[:0], "density", "uniform", 1000, 0) is None


def test_a_table_without_rare_pairs_says_so():
    tested = scored_pairs().query("quintile < 5")
    assert format_accuracies(summarise_margins(tested, ["uniform"], 50, 0)).endswith("-")


def test_cosine_margins_compare_prefix_and_response():
    embeddings = np.array([[1, 0, 2, 0], [1, 0, 0, 3], [1, 0, 0, 0]], dtype=np.float32)
    margins = cosine_margins(embeddings, np.array([0, 2, 1]), np.array([1, 1, 0]))
    assert margins.tolist() == [1, 0, -1]


# --- the pipeline --------------------------------------------------------------------------------


def test_a_killed_training_ends_with_the_same_bytes(finished_project, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(finished_project, project)
    model = project / "data/06_models/reward_model.pt"
    undisturbed = model.read_bytes()
    shutil.rmtree(project / "data/06_models")
    checkpoints = project / "data/06_models/checkpoints/reward_model"
    command = [sys.executable, "-m", "kedro", "run", "--env=test", "--pipelines=density"]
    process = subprocess.Popen(command, cwd=project, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (checkpoints / "density-0.pt").exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not model.exists()
    kept = (checkpoints / "uniform-0.pt").stat().st_ino
    result = kedro(project, "run", "--env=test", "--pipelines=density")
    assert result.returncode == 0, result.stderr
    assert model.read_bytes() == undisturbed
    assert (checkpoints / "uniform-0.pt").stat().st_ino == kept
