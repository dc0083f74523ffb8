"""Training of two reward models that differ in the loss weights only: uniform or by density."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from embedlab.density.reward_head import RewardHead, RewardHeadParameters
from embedlab.density.weights import WeightMode, loss_weights
from embedlab.errors import InputError
from embedlab.losses.bradley_terry import bradley_terry_loss
from embedlab.parameters import Parameters, Seed
from embedlab.training.checkpoints import CheckpointFolder
from embedlab.training.history import History
from embedlab.training.loop import train
from embedlab.training.parameters import TrainingParameters
from embedlab.training.task import Losses, Task

VARIANTS = ("uniform", "density")
SPLITS = ("train", "validation", "test")
# Maximum number of training pairs from which the features are standardised.
STATISTICS_SIZE = 8192
# Pairs scored at a time.
BLOCK_SIZE = 8192


class RewardModelParameters(Parameters):
    """Training of both reward models.

    Attributes:
        weight_mode: transform of the density weights into loss weights.
        weight_cap: upper bound of a loss weight, relative to the mean of 1; null for none.
        split: shares of the prefixes for training, early stopping and testing.
        seeds: each determines a split, an initialisation and an order of the pairs.
    """

    head: RewardHeadParameters = RewardHeadParameters()
    training: TrainingParameters = TrainingParameters()
    weight_mode: WeightMode = "linear"
    weight_cap: float | None = Field(5.0, ge=1)
    split: tuple[float, float, float] = (0.7, 0.1, 0.2)
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)

    @model_validator(mode="after")
    def _values_make_sense(self) -> Self:
        if min(self.split) <= 0 or not np.isclose(sum(self.split), 1):
            raise ValueError(f"split must be three positive shares with sum 1 (got {self.split})")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must be different (got {self.seeds})")
        return self


@dataclass(frozen=True)
class RewardPairs:
    """Preference pairs as a reward head takes them.

    Attributes:
        embeddings: prefix and response vectors, concatenated, float32 `(m, 2d)`, or a memory map.
        chosen: rows of the chosen responses, `(p,)`.
        rejected: rows of the rejected responses, `(p,)`.
        weights: density weights of the pairs' prefixes, `(p,)`.
    """

    embeddings: np.ndarray
    chosen: np.ndarray
    rejected: np.ndarray
    weights: np.ndarray
    device: torch.device

    def responses(self, pairs: np.ndarray) -> Tensor:
        """Vectors `(2b, 2d)`: the chosen responses of b pairs, then their rejected ones."""
        rows = np.concatenate([self.chosen[pairs], self.rejected[pairs]])
        return torch.from_numpy(self.embeddings[rows]).to(self.device)

    def losses(self, head: nn.Module, pairs: np.ndarray) -> Tensor:
        """Compute the Bradley-Terry loss of each of b pairs, `(b,)`."""
        return bradley_terry_loss(*head(self.responses(pairs)).chunk(2))

    @torch.no_grad()
    def margins(self, head: RewardHead, pairs: np.ndarray) -> np.ndarray:
        """Compute the reward of the chosen response minus that of the rejected one, `(b,)`."""
        blocks = np.array_split(pairs, len(pairs) // BLOCK_SIZE + 1)
        rewards = [head(self.responses(block)).chunk(2) for block in blocks]
        return torch.cat([chosen - rejected for chosen, rejected in rewards]).cpu().numpy()


@dataclass(frozen=True)
class Trial:
    """A seed, and the positions of its pairs for training, early stopping and testing."""

    seed: int
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def train_reward_models(
    pairs: pd.DataFrame,
    embeddings: np.ndarray,
    parameters: RewardModelParameters,
    checkpoints: CheckpointFolder,
) -> tuple[dict[str, Any], pd.DataFrame, dict[str, Any]]:
    """Train both variants for every seed, with the same initialisation and order of the pairs.

    The pairs have the columns prefix_id, chosen_row, rejected_row and weight. The embeddings are
    prefix and response vectors, concatenated, float32 `(m, 2d)`. An interrupted run is resumed from
    the checkpoints.

    Returns:
        The `reward_model` artifact, with both heads of the first seed; the test pairs of every seed
        with both margins (columns seed, pair, uniform, density); and the history of each run, by
        seed and variant.

    Raises:
        InputError: if the pairs have fewer prefixes than there are splits.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen, rejected = pairs[["chosen_row", "rejected_row"]].to_numpy().T
    data = RewardPairs(embeddings, chosen, rejected, pairs["weight"].to_numpy(), device)
    model: dict[str, Any] = {
        "parameters": parameters.model_dump(mode="json"),
        "embedding_dim": embeddings.shape[1],
    }
    tables, histories = [], {}
    for seed in parameters.seeds:
        split = split_by_group(pairs["prefix_id"], parameters.split, seed)
        trial = Trial(seed, *(np.flatnonzero(split == name) for name in SPLITS))
        table, history = pd.DataFrame({"seed": seed, "pair": trial.test}), {}
        for variant in VARIANTS:
            trained = _train_variant(data, trial, variant, parameters, checkpoints)
            head, history[variant] = trained[0], trained[1].rows
            table[variant] = data.margins(head, trial.test)
            model.setdefault(variant, head.state_dict())
        tables.append(table)
        histories[str(seed)] = history
    return model, pd.concat(tables, ignore_index=True), histories


def split_by_group(groups: pd.Series, shares: Sequence[float], seed: int) -> np.ndarray:
    """Assign n items to train, validation and test such that no group is in two splits.

    The shares, with sum 1, are of the groups `(n,)`; each split gets at least one group.

    Returns:
        The name of each item's split, `(n,)`.

    Raises:
        InputError: if there are fewer groups than splits.

    Example:
        >>> split_by_group(pd.Series(list("aabbc")), (0.4, 0.3, 0.3), seed=0).tolist()
        ['validation', 'validation', 'test', 'test', 'train']
    """
    codes, distinct = pd.factorize(groups)
    num_groups = len(distinct)
    if num_groups < len(SPLITS):
        raise InputError(
            f"{groups.name}: {len(groups)} pairs with {num_groups} distinct value(s); a split by "
            f"{groups.name} into {', '.join(SPLITS)} needs {len(SPLITS)} or more"
        )
    validation, test = (max(1, round(share * num_groups)) for share in shares[1:])
    train = max(1, num_groups - validation - test)
    validation = min(validation, num_groups - train - 1)
    splits = np.empty(num_groups, dtype=object)
    splits[np.random.default_rng(seed).permutation(num_groups)] = np.repeat(
        SPLITS, [train, validation, num_groups - train - validation]
    )
    return splits[codes]


def load_reward_head(model: Mapping[str, Any], variant: str) -> RewardHead:
    """Load a head, `uniform` or `density`, from the artifact `reward_model`, in `eval` mode."""
    parameters = RewardHeadParameters.model_validate(model["parameters"]["head"])
    head = RewardHead(model["embedding_dim"], parameters)
    head.load_state_dict(model[variant])
    return head.eval()


def _train_variant(
    data: RewardPairs,
    trial: Trial,
    variant: str,
    parameters: RewardModelParameters,
    checkpoints: CheckpointFolder,
) -> tuple[RewardHead, History]:
    """Train one head; the loss weights of the uniform variant are all 1."""
    mode = parameters.weight_mode if variant == "density" else "none"
    weights, validation_weights = (
        torch.from_numpy(loss_weights(data.weights[pairs], mode, parameters.weight_cap))
        for pairs in (trial.train, trial.validation)
    )
    head = _new_head(data, trial, parameters.head)

    def mean_loss(model: nn.Module, positions: Tensor, seed: int) -> Losses:
        losses = data.losses(model, trial.train[positions.numpy()])
        return {"loss": (weights[positions].to(data.device) * losses).mean()}

    def validation_loss() -> float:
        margins = torch.from_numpy(data.margins(head, trial.validation))
        losses = bradley_terry_loss(margins, torch.zeros_like(margins))
        return (validation_weights * losses).mean().item()

    name = f"{variant}-{trial.seed}"
    weighing = {"weight_mode", "weight_cap"} if variant == "density" else set()
    settings = parameters.model_dump(mode="json", include={"head", "training", "split"} | weighing)
    checkpoint = checkpoints.checkpoint(name, settings)
    task = Task(f"reward model {name}", head, mean_loss, len(trial.train), validation_loss)
    groups = [{"params": list(head.parameters()), "lr": parameters.training.learning_rate}]
    history = train(task, groups, parameters.training, trial.seed, checkpoint)
    return head, history


def _new_head(data: RewardPairs, trial: Trial, parameters: RewardHeadParameters) -> RewardHead:
    """A head initialised by the seed and standardised on responses of training pairs."""
    with torch.random.fork_rng():
        torch.manual_seed(trial.seed)
        head = RewardHead(data.embeddings.shape[1], parameters).to(data.device)
    sample = np.random.default_rng(trial.seed).permutation(trial.train)[:STATISTICS_SIZE]
    head.fit_statistics(data.responses(sample))
    return head
