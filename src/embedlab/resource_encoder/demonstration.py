"""A demonstration: does a hierarchical decoder learn faster from exported vectors?

The task: a request consists of a random tool and six random resource values. Its target is the
tool's configuration nearest by Euclidean distance, each value standardised over configurations.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from scipy.spatial import KDTree
from sklearn.preprocessing import scale
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, nll_loss, one_hot

from embedlab.parameters import Parameters, Seed
from embedlab.resource_encoder.hierarchical_decoder import HierarchicalDecoder
from embedlab.training.checkpoints import CheckpointFolder
from embedlab.training.loop import train
from embedlab.training.parameters import Schedule, TrainingParameters
from embedlab.training.task import Losses, Task

# The summary has the first step with each of these shares of the best accuracy.
SHARES = {"half": 0.5, "ninety_percent": 0.9}


class DecoderLoopParameters(TrainingParameters):
    """The training loop; by default it never stops early, so that curves have equal lengths."""

    max_epochs: int = Field(2, ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Schedule = "cosine"
    patience: int | None = Field(None, ge=1)
    validation_interval: int | None = Field(25, ge=1)


class DecoderDemonstrationParameters(Parameters):
    """How decoders are trained and compared.

    Attributes:
        seeds: of requests, initialisation and order; one training per seed and start.
        num_test_requests: requests on which accuracy is measured.
        trunk_size: hidden units between a request and the decoder.
    """

    seeds: tuple[Seed, ...] = Field((0, 1, 2), min_length=1)
    num_requests: int = Field(6_400, ge=1)
    num_test_requests: int = Field(2_000, ge=1)
    trunk_size: int = Field(256, ge=1)
    training: DecoderLoopParameters = DecoderLoopParameters()


@dataclass(frozen=True)
class Requests:
    """Requests with their targets.

    Attributes:
        inputs: one-hot tool, then standardised values, float32 `(n, T + 6)`.
        tools: int64 `(n,)`.
        configs: target configurations, int64 `(n,)`.
    """

    inputs: Tensor
    tools: Tensor
    configs: Tensor


class RequestModel(nn.Module):
    """A trunk with one hidden layer that maps requests to hidden states, then the decoder.

    Hidden states are layer-normalised, like those of a language model's last layer.

    Shape:
        - inputs: `(b, T + 6)`; tools: int64 `(b,)`
        - output: tool logits `(b, T)`, log-probabilities of the configurations `(b, C)`
    """

    def __init__(self, input_size: int, trunk_size: int, decoder: HierarchicalDecoder):
        super().__init__()
        hidden_size = decoder.config_head.in_features
        self.trunk = nn.Sequential(
            nn.Linear(input_size, trunk_size),
            nn.GELU(),
            nn.Linear(trunk_size, hidden_size),
            nn.LayerNorm(hidden_size),
        )
        self.decoder = decoder

    def forward(self, inputs: Tensor, tools: Tensor) -> tuple[Tensor, Tensor]:
        """Decode requests, given their tools."""
        return self.decoder.forward(self.trunk(inputs), tools)

    def accuracy(self, requests: Requests) -> float:
        """The share of requests whose tool and configuration are both decoded correctly."""
        tools, configs = self.decoder.decode(self.trunk(requests.inputs))
        correct = (tools == requests.tools) & (configs == requests.configs)
        return correct.float().mean().item()


def draw_requests(
    values: np.ndarray, tools: np.ndarray, num_requests: int, generator: np.random.Generator
) -> Requests:
    """Draw requests for random tools, each value uniform over its range.

    Shape:
        - values, standardised: `(C, 6)`
        - tools of the configurations, each from 0 to T - 1 at least once: `(C,)`
    """
    num_tools = tools.max() + 1
    bounds = values.min(axis=0), values.max(axis=0)
    requested = generator.uniform(*bounds, (num_requests, values.shape[1]))
    requested_tools = generator.integers(num_tools, size=num_requests)
    targets = np.empty(num_requests, dtype=np.int64)
    for tool in range(num_tools):
        configs, rows = np.flatnonzero(tools == tool), requested_tools == tool
        targets[rows] = configs[KDTree(values[configs]).query(requested[rows])[1]]
    tool_ids = torch.from_numpy(requested_tools)
    inputs = torch.cat([one_hot(tool_ids, num_tools), torch.from_numpy(requested)], dim=1)
    return Requests(inputs.float(), tool_ids, torch.from_numpy(targets))


def demonstrate(
    weights: Tensor,
    values: np.ndarray,
    tools: np.ndarray,
    parameters: DecoderDemonstrationParameters,
    checkpoints: CheckpointFolder,
) -> pd.DataFrame:
    """Train decoders that differ only in the initial weight rows of the configurations.

    The start `exported` has the exported vectors; `random` has Gaussian ones, scaled to the
    vectors' mean norm; `shuffled` has the vectors in random order, which keeps their statistics
    without their meaning. All weights are trained.

    Shape:
        - weights, the exported vectors: float32 `(C, h)`
        - values, the resources of the configurations: `(C, 6)`
        - tools of the configurations, each from 0 to T - 1 at least once: int64 `(C,)`

    Returns:
        Columns start, seed, step and accuracy (on held-out requests).
    """
    tables = []
    for seed in parameters.seeds:
        generator = np.random.default_rng(seed)
        requests, held_out = (
            draw_requests(scale(values), tools, number, generator)
            for number in (parameters.num_requests, parameters.num_test_requests)
        )
        for start, rows in _starts(weights, generator).items():
            name = f"{start}-{seed}"
            input_size = requests.inputs.shape[1]
            model = _new_model(rows, tools, input_size, parameters.trunk_size, seed)
            task = _task(f"decoder {name}", model, requests, held_out)
            settings = parameters.model_dump(mode="json", exclude={"seeds"})
            groups = [{"params": list(model.parameters()), "lr": parameters.training.learning_rate}]
            checkpoint = checkpoints.checkpoint(name, settings)
            history = train(task, groups, parameters.training, seed, checkpoint)
            tables.append(pd.DataFrame(history.rows).assign(start=start, seed=seed))
    return pd.concat(tables, ignore_index=True)[["start", "seed", "step", "accuracy"]]


def summarise(results: pd.DataFrame) -> dict[str, Any]:
    """Accuracy by step, and the number of steps that each start needs, from `demonstrate`.

    Returns:
        Ready for JSON: `best_accuracy`, the highest mean over seeds of any start and step;
        `accuracy`, by start a list of step, mean, min and max over seeds; `steps_to_half` and
        `steps_to_ninety_percent`, by start the mean, min and max over seeds of the first measured
        step with this share of `best_accuracy`. A value is None where a seed that never reaches
        the share makes it infinite.
    """
    curves = results.groupby(["start", "step"])["accuracy"].agg(["mean", "min", "max"])
    best = curves["mean"].max()
    accuracy = {
        start: curves.loc[start].reset_index().to_dict("records")
        for start in results["start"].unique()
    }
    steps = {
        f"steps_to_{name}": _first_steps(results, share * best) for name, share in SHARES.items()
    }
    return {"best_accuracy": best, "accuracy": accuracy} | steps


def _first_steps(results: pd.DataFrame, accuracy: float) -> dict[str, dict[Any, Any]]:
    """By start, the mean, min and max over seeds of the first step with this accuracy."""
    steps = results["step"].where(results["accuracy"] >= accuracy, np.inf)
    first = steps.groupby([results["start"], results["seed"]], sort=False).min()
    ends = first.groupby("start", sort=False).agg(["mean", "min", "max"])
    finite = ends.astype(object).where(np.isfinite(ends), None)
    return {str(start): row for start, row in finite.to_dict("index").items()}


def _starts(weights: Tensor, generator: np.random.Generator) -> dict[str, Tensor]:
    """The initial rows `(C, h)` of each start."""
    gaussian = torch.from_numpy(generator.normal(size=weights.shape)).float()
    norm = weights.norm(dim=1).mean()
    order = generator.permutation(len(weights))
    return {
        "exported": weights,
        "random": norm * nn.functional.normalize(gaussian),
        "shuffled": weights[order],
    }


def _new_model(
    rows: Tensor, tools: np.ndarray, input_size: int, trunk_size: int, seed: int
) -> RequestModel:
    """A model initialised by the seed, except for the configurations' rows `(C, h)`."""
    tool_mask = torch.from_numpy(tools == np.arange(tools.max() + 1)[:, None])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        decoder = HierarchicalDecoder(rows.shape[1], tool_mask)
        model = RequestModel(input_size, trunk_size, decoder)
    decoder.set_config_weights(rows)
    return model


def _task(name: str, model: RequestModel, requests: Requests, held_out: Requests) -> Task:
    def losses(called: nn.Module, indices: Tensor, seed: int) -> Losses:
        tools = requests.tools[indices]
        tool_logits, config_log_probabilities = called(requests.inputs[indices], tools)
        tool = cross_entropy(tool_logits, tools)
        config = nll_loss(config_log_probabilities, requests.configs[indices])
        return {"loss": tool + config, "tool": tool, "config": config}

    return Task(
        name,
        model,
        losses,
        len(requests.tools),
        lambda: model.accuracy(held_out),
        measure="accuracy",
        higher_is_better=True,
        scores_start=True,
    )
