"""The hierarchical decoder, and the demonstration of what exported vectors are good for."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
import torch

from embedlab.errors import InputError
from embedlab.resource_encoder.demonstration import (
    DecoderDemonstrationParameters,
    RequestModel,
    demonstrate,
    draw_requests,
    summarise,
)
from embedlab.resource_encoder.hierarchical_decoder import HierarchicalDecoder, resources
from embedlab.training.checkpoints import CheckpointFolder

pytestmark = pytest.mark.usefixtures("one_thread")

HIDDEN = 16
# Of different sizes, and not in the order of the configurations.
MASK_MAP = {"zoom": [4, 5, 6], "ask": [0, 3], "read": [1, 2]}
TOOL_OF = [1, 2, 2, 1, 0, 0, 0]
LOOKUP = {
    str(config): {"tool_name": list(MASK_MAP)[tool], "input_size": "small", "cpu_cores": config}
    for config, tool in enumerate(TOOL_OF)
}


def export(n_configs=7, **changes):
    weights = torch.randn(n_configs, HIDDEN, generator=torch.Generator().manual_seed(0))
    return {"weights": weights, "num_configs": n_configs, "hidden_dim": HIDDEN, **changes}


def decoder():
    torch.manual_seed(0)
    return HierarchicalDecoder.from_export(export(), MASK_MAP)


def hidden(n_states=50, scale=1.0):
    return scale * torch.randn(n_states, HIDDEN, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("scale", [0, 1, 1e4])
@pytest.mark.parametrize("given", [False, True])
def test_probabilities_are_exactly_zero_outside_the_tool(given, scale):
    model, states = decoder(), hidden(scale=scale)
    tools = torch.arange(50) % 3 if given else None
    tool_logits, log_probabilities = model(states, tools)
    chosen = tools if given else tool_logits.argmax(dim=1)
    own = torch.tensor(TOOL_OF) == chosen[:, None]
    probabilities = log_probabilities.exp()
    assert (probabilities[~own] == 0).all()
    assert torch.isneginf(log_probabilities[~own]).all()
    assert torch.isfinite(log_probabilities[own]).all()
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(50))


def test_within_the_tool_probabilities_are_the_softmax_of_its_scores():
    states = hidden()
    _, log_probabilities = decoder()(states, torch.full((50,), 2))
    expected = (states @ export()["weights"][[1, 2]].T).softmax(dim=1)
    torch.testing.assert_close(log_probabilities[:, [1, 2]].exp(), expected)


def test_gradients_reach_the_tools_rows_only():
    model = decoder()
    _, log_probabilities = model(hidden(2), torch.tensor([1, 1]))
    (-log_probabilities[[0, 1], [0, 3]].mean()).backward()
    gradient = model.config_head.weight.grad
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum(dim=1).bool().tolist() == [tool == 1 for tool in TOOL_OF]


def test_decoded_configurations_are_the_tools_best():
    model, states = decoder(), hidden(200)
    tools, configs = model.decode(states)
    assert set(tools.tolist()) == {0, 1, 2}
    assert torch.equal(tools, model.tool_head(states).argmax(dim=1))
    scores = (states @ export()["weights"].T).detach().numpy()
    for own, tool, config in zip(scores, tools.tolist(), configs.tolist(), strict=True):
        assert config == max(list(MASK_MAP.values())[tool], key=own.__getitem__)


def test_an_exported_vector_is_decoded_as_its_configuration():
    model, weights = decoder(), torch.nn.functional.normalize(export()["weights"])
    model.set_config_weights(weights)
    _, log_probabilities = model(weights, torch.tensor(TOOL_OF))
    assert log_probabilities.argmax(dim=1).tolist() == list(range(7))


def test_the_export_is_copied_and_may_be_trained():
    exported = export()
    model = HierarchicalDecoder.from_export(exported, MASK_MAP)
    assert torch.equal(model.config_head.weight, exported["weights"])
    with torch.no_grad():
        model.config_head.weight.zero_()
    assert exported["weights"].abs().min() > 0


@pytest.mark.parametrize(
    ("weights", "mask_map", "message"),
    [
        (export(num_configs=8), MASK_MAP, r"config_weights: weights of shape \[7, 16\], but .*\[8"),
        (export(hidden_dim=8), MASK_MAP, r"config_weights: .* say \[7, 8\]; export them again"),
        ({"state": {}}, MASK_MAP, "config_weights: weights of shape None, but .*; export"),
        (export(6), MASK_MAP, r"tool_mask_map: .* from 0 to 5 once, .* has 6 \(got 7, 7 diff"),
        (export(8), MASK_MAP, r"tool_mask_map: .* from 0 to 7 once, .* has 8 \(got 7, 7 diff"),
        (export(), {**MASK_MAP, "ask": [0, 4]}, r"tool_mask_map: .* \(got 7, 6 different\)"),
        (export(), {**MASK_MAP, "ask": [0, -4]}, r"tool_mask_map: .* \(got 7, 7 different\)"),
        (export(), {**MASK_MAP, "rest": []}, "no configuration is of tool 3; leave the tool out"),
    ],
)
def test_an_export_that_does_not_fit_is_one_line(weights, mask_map, message):
    with pytest.raises(InputError, match=message) as error:
        HierarchicalDecoder.from_export(weights, mask_map)
    assert "\n" not in str(error.value)


def test_what_is_decoded_has_its_resources():
    found = resources(LOOKUP, list(MASK_MAP), 1, 3)
    assert found == {"tool_name": "ask", "input_size": "small", "cpu_cores": 3}


@pytest.mark.parametrize(
    ("tool", "config", "message"),
    [
        (0, 3, r"configuration 3 is of ask, not of zoom \(tool 0\)"),
        (1, 7, "config_lookup: no configuration 7"),
        (3, 0, "tool 3: there is none; tools are 0 to 2"),
        (-1, 1, "tool -1: there is none"),
    ],
)
def test_resources_of_another_tool_are_refused(tool, config, message):
    with pytest.raises(InputError, match=message):
        resources(LOOKUP, list(MASK_MAP), tool, config)


def table():
    """Two tools with the corners of a cube each, and weights that are linear in the values."""
    corners = np.array(list(itertools.product([0.0, 1.0], repeat=3)))
    values = np.tile(np.hstack([corners, 2 * corners + 7]), (2, 1))
    tools = np.repeat([0, 1], 8)
    inputs = np.hstack([2 * values - values.max(axis=0), 2 * tools[:, None] - 1])
    directions = np.random.default_rng(0).normal(size=(7, HIDDEN))
    return torch.from_numpy(inputs @ directions).float() / 10, values, tools


def run(folder, training=None, **changes):
    loop = {"batch_size": 20, "learning_rate": 0.01, "validation_interval": 20} | (training or {})
    settings = {"seeds": [0, 1], "num_requests": 800, "num_test_requests": 300, "trunk_size": 16}
    parameters = DecoderDemonstrationParameters.model_validate(
        settings | changes | {"training": loop}
    )
    return demonstrate(*table(), parameters, CheckpointFolder(folder))


def test_requests_are_answered_by_the_nearest_configuration_of_their_tool():
    _, values, tools = table()
    values[3] += 0.3
    requests = draw_requests(values, tools, 500, np.random.default_rng(0))
    one_hot, wanted = requests.inputs.split([2, 6], dim=1)
    assert torch.equal(one_hot.argmax(dim=1), requests.tools)
    assert (one_hot.sum(dim=1) == 1).all()
    distances = np.linalg.norm(wanted.numpy()[:, None] - values, axis=2)
    distances[requests.tools.numpy()[:, None] != tools] = np.inf
    np.testing.assert_array_equal(distances.argmin(axis=1), requests.configs)
    assert (wanted.numpy().min(axis=0) >= values.min(axis=0) - 1e-6).all()
    assert (wanted.numpy().max(axis=0) <= values.max(axis=0) + 1e-6).all()
    assert set(requests.configs.tolist()) == set(range(16))


def test_the_demonstration_learns_from_every_start(tmp_path):
    results = run(tmp_path)
    assert list(results.columns) == ["start", "seed", "step", "accuracy"]
    by_run = results.groupby(["start", "seed"])
    starts = ("exported", "random", "shuffled")
    assert set(by_run.groups) == set(itertools.product(starts, [0, 1]))
    assert all(list(rows["step"]) == [0, 20, 40, 60, 80] for _, rows in by_run)
    assert (by_run["accuracy"].first() < 0.25).all()
    assert (by_run["accuracy"].last() > 0.5).all()
    early = results[results["step"] == 20].groupby("start")["accuracy"].mean()
    assert early["exported"] > early["shuffled"]


def test_the_demonstration_is_deterministic_and_goes_on_from_its_checkpoints(tmp_path, monkeypatch):
    options = {"seeds": [0], "training": {"max_epochs": 1}}
    first = run(tmp_path / "a", **options)
    pd.testing.assert_frame_equal(run(tmp_path / "b", **options), first)
    monkeypatch.setattr(RequestModel, "accuracy", None)  # what is done is not done again
    pd.testing.assert_frame_equal(run(tmp_path / "a", **options), first)


def test_no_accuracy_cuts_a_run_short(tmp_path):
    training = {"learning_rate": 1e-9, "validation_interval": 1}
    results = run(tmp_path, training, seeds=[0], num_requests=100)
    assert (results.groupby("start")["step"].max() == 10).all()


def test_the_summary_says_how_soon_each_start_gets_how_far():
    accuracies = {
        ("exported", 0): [0.0, 0.5, 0.8],
        ("exported", 1): [0.1, 0.3, 1.0],
        ("random", 0): [0.0, 0.2, 0.5],
        ("random", 1): [0.0, 0.0, 0.4],
    }
    results = pd.DataFrame(
        [
            {"start": start, "seed": seed, "step": 10 * i, "accuracy": accuracy}
            for (start, seed), curve in accuracies.items()
            for i, accuracy in enumerate(curve)
        ]
    )
    summary = json.loads(json.dumps(summarise(results)))
    assert summary["best_accuracy"] == pytest.approx(0.9)
    assert [row["mean"] for row in summary["accuracy"]["random"]] == pytest.approx([0, 0.1, 0.45])
    assert summary["accuracy"]["exported"][1] == {"step": 10, "mean": 0.4, "min": 0.3, "max": 0.5}
    assert summary["steps_to_half"] == {
        "exported": {"mean": 15, "min": 10, "max": 20},
        "random": {"mean": None, "min": 20, "max": None},
    }
    never = {"mean": None, "min": None, "max": None}
    assert summary["steps_to_ninety_percent"]["random"] == never
