"""A demonstration: do exported vectors help a hierarchical decoder to learn?

The task: a request names a tool and six resource values, drawn at random; the right configuration
is the tool's one that is nearest by Euclidean distance, each value standardised over all
configurations.
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
from embedlab.training.checkpoints import Checkpoint, CheckpointFolder, run_fingerprint
from embedlab.training.loop import Losses, Task, train
from embedlab.training.parameters import LoopParameters

# Shares of the best accuracy whose first step is told.
SHARES = {"half": 0.5, "ninety_percent": 0.9}

N_VALUES = 6
# Validations without a better one: more than there are.
NEVER_STOP = 10**9


class DecoderDemonstrationParameters(Parameters):
    """How the demonstration is trained.

    Attributes:
        seeds: each draws requests, an initialisation and an order of its own.
        num_requests: to train on.
        num_test_requests: to measure accuracy on.
        trunk_size: hidden units between a request and the decoder.
        max_epochs: passes over the requests.
        batch_size: requests a step.
        learning_rate: of AdamW; falls as half a cosine.
        validation_interval: steps between measurements.
    """

    seeds: tuple[Seed, ...] = Field((0, 1, 2), min_length=1)
    num_requests: int = Field(6_400, ge=1)
    num_test_requests: int = Field(2_000, ge=1)
    trunk_size: int = Field(256, ge=1)
    max_epochs: int = Field(2, ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    validation_interval: int = Field(25, ge=1)


@dataclass(frozen=True)
class Requests:
    """Requests with their answers.

    Attributes:
        inputs: one-hot tool, then standardised values, float32 `(n, T + 6)`.
        tools: int64 `(n,)`.
        configs: the right configurations, int64 `(n,)`.
    """

    inputs: Tensor
    tools: Tensor
    configs: Tensor


class RequestModel(nn.Module):
    """A trunk of one hidden layer from requests to hidden states, then the decoder.

    Hidden states are normalised, as those of a language model's last layer are.
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
        """What the decoder says of requests `(b, T + 6)` when their tools are given."""
        outputs: tuple[Tensor, Tensor] = self.decoder(self.trunk(inputs), tools)
        return outputs

    def accuracy(self, requests: Requests) -> float:
        """The share of requests whose tool and configuration are both decoded right."""
        tools, configs = self.decoder.decode(self.trunk(requests.inputs))
        right = (tools == requests.tools) & (configs == requests.configs)
        return right.float().mean().item()


def draw_requests(
    values: np.ndarray, tools: np.ndarray, n_requests: int, generator: np.random.Generator
) -> Requests:
    """Requests for random tools, each value uniform between its least and its greatest.

    Args:
        values: of all configurations, standardised, `(C, 6)`.
        tools: of all configurations, `(C,)`, each from 0 to T - 1 at least once.
        n_requests: how many.
        generator: draws them.
    """
    n_tools = tools.max() + 1
    wanted = generator.uniform(values.min(axis=0), values.max(axis=0), (n_requests, N_VALUES))
    asked = generator.integers(n_tools, size=n_requests)
    nearest = np.empty(n_requests, dtype=np.int64)
    for tool in range(n_tools):
        own, rows = np.flatnonzero(tools == tool), asked == tool
        nearest[rows] = own[KDTree(values[own]).query(wanted[rows])[1]]
    asked_tools = torch.from_numpy(asked)
    inputs = torch.cat([one_hot(asked_tools, n_tools), torch.from_numpy(wanted)], dim=1)
    return Requests(inputs.float(), asked_tools, torch.from_numpy(nearest))


def demonstrate(
    weights: Tensor,
    values: np.ndarray,
    tools: np.ndarray,
    parameters: DecoderDemonstrationParameters,
    checkpoints: CheckpointFolder,
) -> pd.DataFrame:
    """Train from each start on the same requests in the same order, the rest starting alike.

    The starts of the configurations' rows: `exported` are the weights; `random` are Gaussian,
    scaled to the weights' mean norm; `shuffled` are the weights in a random order, which keeps
    their statistics and not their meaning. All weights are trained.

    Args:
        weights: exported vectors, float32 `(C, h)`.
        values: the six resource values of the configurations, `(C, 6)`.
        tools: their tools, int64 `(C,)`, each from 0 to T - 1 at least once.
        parameters: how to train.
        checkpoints: where training goes on after it was stopped.

    Returns:
        Columns start, seed, step and accuracy, that on held-out requests.
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
            model = _new_model(rows, tools, parameters.trunk_size, seed)
            task = _task(f"decoder {name}", model, requests, held_out)
            identity = {"seed": seed} | parameters.model_dump(exclude={"seeds"})
            fingerprint = run_fingerprint(identity, rows.numpy(), values, tools)
            curve = _train(task, parameters, seed, checkpoints.checkpoint(name, fingerprint))
            tables.append(curve.assign(start=start, seed=seed))
    return pd.concat(tables, ignore_index=True)[["start", "seed", "step", "accuracy"]]


def summarise(results: pd.DataFrame) -> dict[str, Any]:
    """Accuracy by step, and how soon each start gets how far.

    Args:
        results: columns start, seed, step and accuracy.

    Returns:
        Ready for JSON: `best_accuracy`, the highest mean over the seeds of any start and step;
        `accuracy`, by start a list of step, mean, min and max over the seeds; and
        `steps_to_half` and `steps_to_ninety_percent`, by start the mean, min and max over the
        seeds of the first measured step with that share of `best_accuracy`. What a seed that
        never got there leaves without a value is None.
    """
    curves = results.groupby(["start", "step"])["accuracy"].agg(["mean", "min", "max"])
    best = curves["mean"].max()
    summary: dict[str, Any] = {
        "best_accuracy": best,
        "accuracy": {
            start: curves.loc[start].reset_index().to_dict("records")
            for start in results["start"].unique()
        },
    }
    for name, share in SHARES.items():
        summary[f"steps_to_{name}"] = _first_steps(results, share * best)
    return summary


def _first_steps(results: pd.DataFrame, accuracy: float) -> dict[str, dict[Any, Any]]:
    """By start, the mean, min and max over the seeds of the first step of this accuracy."""
    steps = results["step"].where(results["accuracy"] >= accuracy, np.inf)
    first = steps.groupby([results["start"], results["seed"]], sort=False).min()
    ends = first.groupby("start", sort=False).agg(["mean", "min", "max"])
    finite = ends.astype(object).where(np.isfinite(ends), None)
    return {str(start): row for start, row in finite.to_dict("index").items()}


def _starts(weights: Tensor, generator: np.random.Generator) -> dict[str, Tensor]:
    """The rows `(C, h)` of each start."""
    gaussian = torch.from_numpy(generator.normal(size=weights.shape)).float()
    norm = weights.norm(dim=1).mean()
    order = generator.permutation(len(weights))
    return {
        "exported": weights,
        "random": norm * nn.functional.normalize(gaussian),
        "shuffled": weights[order],
    }


def _new_model(rows: Tensor, tools: np.ndarray, trunk_size: int, seed: int) -> RequestModel:
    """A model that the seed initialises, but for the rows (C, h) of the configurations."""
    tool_mask = torch.from_numpy(tools == np.arange(tools.max() + 1)[:, None])
    n_tools = len(tool_mask)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        decoder = HierarchicalDecoder(rows.shape[1], tool_mask)
        model = RequestModel(n_tools + N_VALUES, trunk_size, decoder)
    decoder.set_config_weights(rows)
    return model


def _task(name: str, model: RequestModel, requests: Requests, held_out: Requests) -> Task:
    def losses(called: nn.Module, positions: Tensor, seed: int) -> Losses:
        tools = requests.tools[positions]
        tool_logits, config_log_probabilities = called(requests.inputs[positions], tools)
        tool = cross_entropy(tool_logits, tools)
        config = nll_loss(config_log_probabilities, requests.configs[positions])
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


def _train(
    task: Task, parameters: DecoderDemonstrationParameters, seed: int, checkpoint: Checkpoint
) -> pd.DataFrame:
    """The accuracy by step, to the very end: curves of different lengths could not be compared."""
    fields = parameters.model_dump(include={"max_epochs", "batch_size", "validation_interval"})
    loop = LoopParameters(**fields, schedule="cosine", weight_decay=0, patience=NEVER_STOP)
    groups = [{"params": list(task.model.parameters()), "lr": parameters.learning_rate}]
    history = train(task, groups, loop, seed, checkpoint)
    return pd.DataFrame(history)[["step", "accuracy"]]
