"""Random network distillation: the model, training together, experiments, the scorer."""

import copy

import numpy as np
import pytest
import torch
from plain_loop import train_alone
from torch import nn

from embedlab.errors import InputError
from embedlab.novelty.evaluation import NoveltyData
from embedlab.novelty.experiment_folder import ExperimentFolder
from embedlab.novelty.experiments import plan_runs, run_experiments
from embedlab.novelty.rnd import RandomNetworkDistillation, RNDModelParameters
from embedlab.novelty.scorer import NoveltyScorer
from embedlab.novelty.training import ExperimentParameters, group_runs, train_stack

N_TRAIN, DIMENSION = 120, 16
BASELINE = {"num_train_samples": 100, "num_epochs": 8, "batch_size": 20, "learning_rate": 1e-3}


def experiment(**changes):
    raw = {"target_layers": [32, 8], "predictor_layers": [48, 8], **BASELINE, **changes}
    return ExperimentParameters.model_validate(raw)


def planted(seed=0):
    """Pairs around one point, held-out ones too; others lie around another point."""
    rng = np.random.default_rng(seed)
    sets = np.repeat(
        ["train", "held_out", "shuffled", "out_of_distribution"], [N_TRAIN, 40, 40, 40]
    )
    embeddings = rng.normal(size=(len(sets), DIMENSION)).astype(np.float32)
    embeddings[sets == "out_of_distribution"] += 2
    embeddings[sets == "shuffled", DIMENSION // 2 :] += 1
    return NoveltyData(embeddings, sets, np.arange(len(sets)), {"fingerprint": "f"}, 5)


# --- the model -----------------------------------------------------------------------------------


def test_novelty_is_the_mean_squared_error_of_the_predictor():
    model = RandomNetworkDistillation(4, RNDModelParameters(normalize_embeddings=False))
    vectors = torch.randn(3, 4)
    expected = ((model.predictor(vectors) - model.target(vectors)) ** 2).mean(dim=1)
    torch.testing.assert_close(model(vectors), expected)
    assert [
        tuple(layer.weight.shape) for layer in model.target if isinstance(layer, nn.Linear)
    ] == [
        (256, 4),
        (64, 256),
    ]


def test_inputs_are_standardised_by_the_training_vectors_and_clipped():
    model = RandomNetworkDistillation(2, RNDModelParameters())
    model.fit_inputs(torch.tensor([[0.0, 1.0], [2.0, 1.0]]))
    seen = model.standardise(torch.tensor([[2.0, 1.0], [100.0, -100.0]]))
    assert seen.tolist() == [[1.0, 0.0], [5.0, -5.0]]


def test_scoring_changes_no_statistic():
    vectors = torch.randn(50, 4)
    model = RandomNetworkDistillation(4, RNDModelParameters())
    model.fit_inputs(vectors)
    model.fit_reward(vectors)
    before = copy.deepcopy(model.state_dict())
    NoveltyScorer(model).reward(100 * np.ones((20, 4), np.float32))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_rewards_of_training_vectors_have_mean_0_and_deviation_1():
    vectors = torch.randn(500, 4)
    model = RandomNetworkDistillation(4, RNDModelParameters())
    model.fit_reward(vectors)
    rewards = model.reward(vectors)
    assert rewards.mean().item() == pytest.approx(0, abs=1e-4)
    assert rewards.std(correction=0).item() == pytest.approx(1, abs=1e-4)


def test_rewards_are_normalised_even_where_novelty_is_tiny():
    model = RandomNetworkDistillation(4, RNDModelParameters(normalize_embeddings=False))
    with torch.no_grad():
        for layer in (model.target[-1], model.predictor[-1]):
            layer.weight *= 1e-3
            layer.bias *= 1e-3
    vectors = torch.randn(200, 4)
    model.fit_reward(vectors)
    assert model(vectors).std().item() < 1e-7
    assert model.reward(vectors).std().item() == pytest.approx(1, abs=0.01)


# --- training ------------------------------------------------------------------------------------


def test_trained_together_as_trained_alone():
    data = planted()
    experiments = {
        "a": experiment(num_seeds=3),
        "b": experiment(normalize_embeddings=False, seed=7),
        "c": experiment(target_layers=[64, 32, 8]),
    }
    runs = [r for name, p in experiments.items() for r in plan_runs(name, p, data.rows["train"])]
    (stack,) = group_runs(runs, DIMENSION)
    assert len(stack) == 5
    for trained in train_stack(data.embeddings, stack):
        model, losses = train_alone(data.embeddings, trained.run)
        np.testing.assert_allclose(trained.losses, losses, atol=1e-5)
        for name, weight in model.predictor.state_dict().items():
            torch.testing.assert_close(
                trained.model.predictor.state_dict()[name], weight, atol=1e-4, rtol=0
            )


def test_deep_networks_of_any_shape_too():
    data = planted()
    (run,) = plan_runs("a", experiment(predictor_layers=[24, 40, 12, 8]), data.rows["train"])
    (trained,) = train_stack(data.embeddings, [run])
    np.testing.assert_allclose(trained.losses, train_alone(data.embeddings, run)[1], atol=1e-5)


def test_only_runs_of_one_shape_are_stacked():
    different = [
        {"predictor_layers": [64, 8]},
        {"num_train_samples": 80},
        {"batch_size": 10},
        {"num_epochs": 3},
        {"learning_rate": 1e-4},
    ]
    runs = [
        plan_runs(str(i), experiment(**changes), np.arange(N_TRAIN))[0]
        for i, changes in enumerate([{}, *different])
    ]
    assert len(list(group_runs(runs, DIMENSION))) == 6


def test_a_stack_is_bounded(monkeypatch):
    monkeypatch.setattr("embedlab.novelty.training.STACK_SIZE", 2 * 100 * DIMENSION)
    runs = plan_runs("a", experiment(num_seeds=5), np.arange(N_TRAIN))
    assert [len(stack) for stack in group_runs(runs, DIMENSION)] == [2, 2, 1]


def test_a_last_batch_may_be_smaller():
    data = planted()
    (run,) = plan_runs("a", experiment(batch_size=30), data.rows["train"])
    (trained,) = train_stack(data.embeddings, [run])
    _, losses = train_alone(data.embeddings, run)
    np.testing.assert_allclose(trained.losses, losses, atol=1e-5)


def test_a_seed_decides_the_result_to_the_bit():
    data = planted()
    runs = plan_runs("a", experiment(num_seeds=2), data.rows["train"])
    once, again = (train_stack(data.embeddings, runs) for _ in range(2))
    assert [t.losses for t in once] == [t.losses for t in again]
    assert once[0].losses != once[1].losses
    assert not np.array_equal(runs[0].rows, runs[1].rows)


# --- experiments ---------------------------------------------------------------------------------


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_rnd_and_its_baselines_find_what_lies_elsewhere(tmp_path):
    data, folder = planted(), ExperimentFolder(tmp_path)
    assert run_experiments({"a": experiment(num_seeds=2)}, data, folder) == {"a": None}
    result = folder["a"]
    for method in ("rnd", "knn", "mahalanobis", "isolation_forest"):
        assert result["summary"]["out_of_distribution"][method]["auroc"]["mean"] > 0.9, method
        assert result["summary"]["shuffled"][method]["auroc"]["mean"] > 0.6, method
    run = result["runs"][1]
    assert run["seed"] == 1
    assert len(run["loss"]) == 8
    assert set(run["novelty"]) == {"train", "held_out", "shuffled", "out_of_distribution"}
    assert set(run["seconds"]) == {"train", "score", "baselines"}
    assert set(run["against"]["shuffled"]["knn"]) == {"difference", "low", "high", "p_value"}
    assert result["n_pairs"]["train"] == 100
    assert result["configuration"]["predictor_layers"] == [48, 8]


def test_finished_experiments_are_skipped_unless_stale(tmp_path, caplog):
    data, folder = planted(), ExperimentFolder(tmp_path)
    caplog.set_level("INFO")
    run_experiments({"a": experiment(), "b": experiment()}, data, folder)
    before = contents(tmp_path)
    run_experiments({"a": experiment(), "b": experiment(learning_rate=1e-2)}, data, folder)
    after = contents(tmp_path)
    assert after["precomp_a.json"] == before["precomp_a.json"]
    assert after["precomp_b.json"] != before["precomp_b.json"]
    assert "a: finished before, skipped" in caplog.text
    assert "precomp_b.json: configuration_hash changed; the experiment runs again" in caplog.text
    run_experiments({"a": experiment()}, data, ExperimentFolder(tmp_path, "other data"))
    assert "precomp_a.json: made_from changed; the experiment runs again" in caplog.text


def test_an_experiment_without_its_model_is_run_again(tmp_path):
    data, folder = planted(), ExperimentFolder(tmp_path)
    run_experiments({"a": experiment()}, data, folder)
    (tmp_path / "precomp_a.pt").unlink()
    run_experiments({"a": experiment()}, data, folder)
    assert (tmp_path / "precomp_a.pt").is_file()


def test_a_failure_does_not_stop_the_others(tmp_path):
    experiments = {
        "many": experiment(num_train_samples=1000),
        "wild": experiment(learning_rate=1e30),
        "wild at last": experiment(learning_rate=1e30, num_epochs=1, batch_size=100),
        "immense": experiment(predictor_layers=[10**12, 8]),
        "fine": experiment(),
    }
    outcomes = run_experiments(experiments, planted(), ExperimentFolder(tmp_path))
    assert outcomes["fine"] is None
    assert outcomes["many"].startswith("num_train_samples is 1000, but there are only 120 pairs")
    for name in ("wild", "wild at last"):
        assert outcomes[name].startswith("the loss is not finite in epoch")
    assert "\n" not in outcomes["immense"]
    assert set(ExperimentFolder(tmp_path)) == {"fine"}


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_result_is_one_line_and_does_not_stop_the_others(tmp_path, content):
    (tmp_path / "precomp_a.json").write_text(content)
    experiments = {"a": experiment(), "b": experiment()}
    outcomes = run_experiments(experiments, planted(), ExperimentFolder(tmp_path))
    assert "precomp_a.json: " in outcomes["a"]
    assert outcomes["a"].endswith("; delete it and run rnd again")
    assert outcomes["b"] is None


def test_what_is_not_finished_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"experiment a is not in \S+; run `kedro run"):
        ExperimentFolder(tmp_path).require("a")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predictor_layers": [48, 9]}, r"end with the same width \(got \[32, 8\] and \[48, 9\]\)"),
        ({"target_layers": [0, 8]}, "must be positive"),
        ({"num_train_samples": 10}, "num_train_samples is 10, less than a batch of 20"),
        ({"num_epoch": 3}, "num_epoch: no such parameter"),
        ({"seed": 2**32 - 1, "num_seeds": 2}, r"seed \+ num_seeds must be at most 2\*\*32"),
    ],
)
def test_configurations_that_make_no_sense_are_one_line(changes, message):
    with pytest.raises(InputError, match=message):
        experiment(**changes)


# --- the scorer ----------------------------------------------------------------------------------


def test_the_scorer_gives_the_novelty_of_the_experiment(tmp_path):
    data, folder = planted(), ExperimentFolder(tmp_path)
    run_experiments({"a": experiment(num_seeds=2)}, data, folder)
    for run in folder["a"]["runs"]:
        scorer = NoveltyScorer.load(tmp_path / "precomp_a.pt", run["seed"])
        held_out = data.embeddings[data.sets == "held_out"]
        novelty = scorer.novelty(held_out)
        assert novelty.mean() == pytest.approx(run["novelty"]["held_out"]["mean"], rel=1e-5)
        rewards = scorer.reward(held_out)
        assert np.corrcoef(novelty, rewards)[0, 1] == pytest.approx(1)
    with pytest.raises(InputError, match=r"precomp_a\.pt: no run of seed 5; there are 0, 1"):
        NoveltyScorer.load(tmp_path / "precomp_a.pt", 5)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones((3, 5)), r"vectors must be \(n, 4\), not \(3, 5\)"),
        (np.ones((3, 1)), r"vectors must be \(n, 4\), not \(3, 1\)"),
        (np.array([[1, 1, 1, 1], [1, np.nan, 1, 1]]), "row 1 of the vectors is not finite"),
    ],
)
def test_vectors_that_cannot_be_scored_are_one_line(vectors, message):
    scorer = NoveltyScorer(RandomNetworkDistillation(4, RNDModelParameters()))
    with pytest.raises(InputError, match=message):
        scorer.novelty(vectors)


def test_another_file_is_no_model(tmp_path):
    torch.save({"weights": {}}, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"a\.pt: not the model of an experiment"):
        NoveltyScorer.load(tmp_path / "a.pt")


def test_blocks_do_not_change_scores(monkeypatch):
    scorer = NoveltyScorer(RandomNetworkDistillation(4, RNDModelParameters()))
    vectors = np.random.default_rng(0).normal(size=(23, 4)).astype(np.float32)
    whole = scorer.novelty(vectors)
    monkeypatch.setattr("embedlab.novelty.scorer.BLOCK_SIZE", 5)
    np.testing.assert_allclose(scorer.novelty(vectors), whole, rtol=1e-5)
    assert scorer.novelty(vectors[:0]).shape == (0,)
