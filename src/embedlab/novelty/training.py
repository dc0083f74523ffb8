"""Training of random network distillation; runs of equal predictor shape train together."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor
from tqdm import tqdm

from embedlab.novelty.rnd import RandomNetworkDistillation, RNDModelParameters
from embedlab.novelty.stacked_mlp import StackedMLP
from embedlab.parameters import Seed

# Upper bound of the numbers in the inputs of runs that are trained together: 1 GiB.
STACK_SIZE = 2**28


class ExperimentParameters(RNDModelParameters):
    """An experiment: a model, its data, and how it is trained.

    Attributes:
        encoder_name: whose vectors are used; if null, those of each encoder of the cache.
        concat_problem_answer: whether a pair's vector is that of the text "problem [SEP] solution",
            or the vectors of problem and solution, concatenated.
        num_train_samples: training pairs, drawn by the seed.
        learning_rate: of Adam (Kingma & Ba 2015, arXiv 1412.6980).
        seed: of the draw, the initialisation and the order.
        num_seeds: runs of the experiment, with the seeds `seed`, `seed` + 1, …
    """

    encoder_name: str | None = None
    concat_problem_answer: bool = False
    num_train_samples: int = Field(1000, ge=1)
    num_epochs: int = Field(50, ge=1)
    batch_size: int = Field(50, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    seed: Seed = 0
    num_seeds: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        if self.num_train_samples < self.batch_size:
            raise ValueError(
                f"num_train_samples is {self.num_train_samples}, less than a batch of "
                f"{self.batch_size}: lower batch_size"
            )
        if self.seeds.stop > 2**32:
            raise ValueError(f"seed + num_seeds must be at most 2**32 (got {self.seeds.stop})")
        return self

    @property
    def seeds(self) -> range:
        """The seeds of the runs."""
        return range(self.seed, self.seed + self.num_seeds)

    @property
    def collection(self) -> str:
        """The embedded collection that the experiment uses."""
        return "novelty_pairs_concat" if self.concat_problem_answer else "novelty_pairs"


@dataclass(frozen=True)
class Run:
    """One seed of an experiment: what to train, on which rows of the embeddings."""

    experiment: str
    seed: int
    parameters: ExperimentParameters
    rows: np.ndarray


@dataclass(frozen=True)
class TrainedRun:
    """A run's model, the mean loss of each epoch, and its share of the time in seconds."""

    run: Run
    model: RandomNetworkDistillation
    losses: list[float]
    seconds: float


def group_runs(runs: Sequence[Run], dimension: int) -> Iterator[list[Run]]:
    """Group runs that can be trained together, at most `STACK_SIZE` numbers of input per group."""
    groups: dict[tuple[object, ...], list[Run]] = {}
    for run in runs:
        p = run.parameters
        shape = (p.predictor_layers, len(run.rows), p.batch_size, p.num_epochs, p.learning_rate)
        groups.setdefault(shape, []).append(run)
    for group in groups.values():
        size = max(1, STACK_SIZE // (len(group[0].rows) * dimension))
        yield from (group[start : start + size] for start in range(0, len(group), size))


def train_stack(embeddings: np.ndarray, runs: Sequence[Run]) -> list[TrainedRun]:
    """Train a group of `group_runs` at once, each run as if it were trained alone.

    Initialisation and order of a run depend on its seed only. Inputs and targets do not change
    during training, and are computed once. Embeddings are float32 `(n, d)`, or a memory map.
    """
    start = time.perf_counter()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    vectors = [torch.from_numpy(embeddings[run.rows]).to(device) for run in runs]
    models = [new_model(v, run) for v, run in zip(vectors, runs, strict=True)]
    with torch.no_grad():
        pairs = zip(models, vectors, strict=True)
        inputs = torch.stack([model.standardise(v) for model, v in pairs])
        targets = torch.stack([model.target(x) for model, x in zip(models, inputs, strict=True)])
    predictors = StackedMLP([model.predictor for model in models])
    losses = _fit(predictors, inputs, targets, runs)
    predictors.copy_to([model.predictor for model in models])
    for model, v in zip(models, vectors, strict=True):
        model.eval().fit_reward(v)
    seconds = (time.perf_counter() - start) / len(runs)
    return [TrainedRun(*trained, seconds) for trained in zip(runs, models, losses, strict=True)]


def new_model(vectors: Tensor, run: Run) -> RandomNetworkDistillation:
    """A model initialised by the seed, with the input statistics of `vectors` (n, d)."""
    with torch.random.fork_rng():
        torch.manual_seed(run.seed)
        model = RandomNetworkDistillation(vectors.shape[1], run.parameters).to(vectors.device)
    model.fit_inputs(vectors)
    return model


def _fit(
    predictors: StackedMLP, inputs: Tensor, targets: Tensor, runs: Sequence[Run]
) -> list[list[float]]:
    """Train m predictors to map inputs (m, n, d) to targets (m, n, o): each run's epoch losses."""
    p, (num_runs, num_items) = runs[0].parameters, inputs.shape[:2]
    optimizer = torch.optim.Adam(predictors.parameters(), lr=p.learning_rate, fused=True)
    generators = [torch.Generator().manual_seed(run.seed) for run in runs]
    member = torch.arange(num_runs, device=inputs.device)[:, None]
    names = ", ".join(dict.fromkeys(run.experiment for run in runs))
    history = []
    for _ in tqdm(range(p.num_epochs), desc=f"rnd {names:.60}", unit="epoch"):
        orders = torch.stack([torch.randperm(num_items, generator=g) for g in generators])
        total = torch.zeros(num_runs, device=inputs.device)
        for rows in torch.split(orders.to(inputs.device), p.batch_size, dim=1):
            errors = predictors(inputs[member, rows]) - targets[member, rows]
            losses = errors.square().mean(dim=(1, 2))
            optimizer.zero_grad()
            losses.sum().backward()
            optimizer.step()
            total += losses.detach() * rows.shape[1]
        history.append(total / num_items)
    by_run: list[list[float]] = torch.stack(history, dim=1).tolist()
    return by_run
