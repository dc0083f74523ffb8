"""A trained novelty model and its baselines on every set of pairs."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from embedlab.novelty.detectors import baseline_scores, nearest_distances
from embedlab.novelty.measures import compare_with_baselines, detect
from embedlab.novelty.rnd import RandomNetworkDistillation
from embedlab.novelty.scorer import NoveltyScorer
from embedlab.novelty.training import TrainedRun
from embedlab.statistics.description import describe
from embedlab.statistics.projection import principal_plane

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Baselines:
    """What like runs share: scores by method and set, distances, and the seconds that it took."""

    scores: dict[str, Arrays]
    nearest: Arrays
    seconds: float


@dataclass(frozen=True)
class NoveltyData:
    """Embedded pairs that experiments share.

    Attributes:
        embeddings: float32 `(n, d)`; may be a memory map.
        sets: the set of each pair, `(n,)`.
        problems: a number for each distinct problem, `(n,)`.
        description: what is to be known of the vectors, JSON-ready.
        n_neighbours: k of the k-NN baseline.
    """

    embeddings: np.ndarray
    sets: np.ndarray
    problems: np.ndarray
    description: Mapping[str, Any]
    n_neighbours: int
    _baselines: dict[Any, Baselines] = field(default_factory=dict)

    @cached_property
    def rows(self) -> Arrays:
        """The rows of each set that has any."""
        return {
            name: np.flatnonzero(self.sets == name) for name in dict.fromkeys(self.sets.tolist())
        }

    @cached_property
    def plane(self) -> tuple[np.ndarray, np.ndarray]:
        """All pairs on their first two principal components, and the shares of the variance."""
        return principal_plane(self.embeddings, seed=0)

    def baselines(self, trained: TrainedRun) -> Baselines:
        """Scores of the baselines on the vectors that the model sees, the same for like runs."""
        run = trained.run
        key = (run.parameters.normalize_embeddings, len(run.rows), run.seed)
        if key not in self._baselines:
            self._baselines[key] = self._score_baselines(trained)
        return self._baselines[key]

    def _score_baselines(self, trained: TrainedRun) -> Baselines:
        start = time.perf_counter()
        seen = {
            name: _standardise(trained.model, self.embeddings[rows])
            for name, rows in self.rows_of(trained).items()
        }
        train = seen.pop("train")
        scores = baseline_scores(train, seen, self.n_neighbours, trained.run.seed)
        nearest = {name: nearest_distances(train, vectors) for name, vectors in seen.items()}
        return Baselines(scores, nearest, time.perf_counter() - start)

    def rows_of(self, trained: TrainedRun) -> Arrays:
        """The rows of each set: of the training set the run's own, and other solutions of these."""
        rows = self.rows | {"train": trained.run.rows}
        others = rows.pop("other_solutions", np.empty(0, int))
        own = others[np.isin(self.problems[others], self.problems[trained.run.rows])]
        return rows | ({"other_solutions": own} if len(own) else {})


def evaluate_run(trained: TrainedRun, data: NoveltyData) -> tuple[dict[str, Any], dict[str, Any]]:
    """Score every set by the model and by the baselines.

    Returns:
        What is to be reported, JSON-ready; and what figures are drawn from, as tensors: by set
        `novelty`, `nearest` (distance to the nearest training vector) and `points`, by method and
        set the baselines' `scores`, and the points' `variance`.
    """
    start = time.perf_counter()
    scorer, rows = NoveltyScorer(trained.model), data.rows_of(trained)
    novelty = {name: scorer.novelty(data.embeddings[own]) for name, own in rows.items()}
    seconds = time.perf_counter() - start
    baselines = data.baselines(trained)
    scores = {"rnd": novelty, **baselines.scores}
    report = {
        "seed": trained.run.seed,
        "loss": trained.losses,
        "novelty": {name: describe(own) for name, own in novelty.items()},
        "detection": detect(scores),
        "against": compare_with_baselines(scores),
        "seconds": {
            "train": trained.seconds,
            "score": seconds,
            "baselines": baselines.seconds,
        },
    }
    points, variance = data.plane
    drawn = {
        "novelty": novelty,
        "nearest": baselines.nearest,
        "points": {name: points[own] for name, own in rows.items()},
        "scores": baselines.scores,
        "variance": variance,
    }
    return report, _tensors(drawn)


@torch.inference_mode()
def _standardise(model: RandomNetworkDistillation, embeddings: np.ndarray) -> np.ndarray:
    device = next(model.parameters()).device
    seen = model.standardise(torch.from_numpy(embeddings).to(device))
    standardised: np.ndarray = seen.cpu().numpy()
    return standardised


def _tensors(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays in nested dictionaries as tensors."""
    return {
        name: _tensors(own) if isinstance(own, dict) else torch.from_numpy(own)
        for name, own in arrays.items()
    }
