"""A trained novelty model and the detectors beside it, evaluated on every set of pairs."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from embedlab.novelty.detectors import DetectorInput, detector_scores
from embedlab.novelty.measures import compare_with_baselines, detect
from embedlab.novelty.rnd import RandomNetworkDistillation
from embedlab.novelty.scorer import NoveltyScorer
from embedlab.novelty.training import TrainedRun
from embedlab.statistics.description import describe_values
from embedlab.statistics.projection import principal_plane

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Baselines:
    """Detectors' scores by detector and set, distances to the nearest training vector by set."""

    scores: dict[str, Arrays]
    nearest: Arrays
    seconds: float


@dataclass(frozen=True)
class NoveltyData:
    """Embedded pairs that experiments share.

    Attributes:
        embeddings: float32 `(n, d)`; may be a memory map.
        sets: the set of each pair, `(n,)`.
        problems: the number of each pair's problem, `(n,)`.
        description: identifies the vectors in results, JSON-ready.
        num_neighbours: k of the k-NN detector.
    """

    embeddings: np.ndarray
    sets: np.ndarray
    problems: np.ndarray
    description: Mapping[str, Any]
    num_neighbours: int
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

    def rows_of(self, trained: TrainedRun) -> Arrays:
        """The rows of each set for a run, with its training pairs and their other solutions."""
        rows = self.rows | {"train": trained.run.rows}
        others = rows.pop("other_solutions", np.empty(0, int))
        others = others[np.isin(self.problems[others], self.problems[trained.run.rows])]
        return rows | ({"other_solutions": others} if len(others) else {})

    def baselines(self, trained: TrainedRun) -> Baselines:
        """Detectors on the inputs of the model, computed once for runs with the same inputs."""
        run = trained.run
        key = (run.parameters.normalize_embeddings, len(run.rows), run.seed)
        if key not in self._baselines:
            start, rows = time.perf_counter(), self.rows_of(trained)
            train = _inputs(trained.model, self.embeddings[rows.pop("train")])
            vectors = _inputs(trained.model, self.embeddings[np.concatenate([*rows.values()])])
            data = DetectorInput(train, vectors, self.num_neighbours, run.seed)
            scores = {name: _by_set(of, rows) for name, of in detector_scores(data).items()}
            nearest = _by_set(data.neighbour_distances[:, 0], rows)
            self._baselines[key] = Baselines(scores, nearest, time.perf_counter() - start)
        return self._baselines[key]


def evaluate_run(trained: TrainedRun, data: NoveltyData) -> tuple[dict[str, Any], dict[str, Any]]:
    """Score every set by the model and by the detectors.

    Returns:
        The report, JSON-ready; and the tensors that figures are drawn from: by set `novelty`,
        `nearest` (distance to the nearest training vector) and `points`, by detector and set
        `scores`, and the points' `variance`.
    """
    start = time.perf_counter()
    scorer, rows = NoveltyScorer(trained.model), data.rows_of(trained)
    novelty = {name: scorer.novelty(data.embeddings[of_set]) for name, of_set in rows.items()}
    seconds = time.perf_counter() - start
    baselines = data.baselines(trained)
    scores = {"rnd": novelty, **baselines.scores}
    report = {
        "seed": trained.run.seed,
        "loss": trained.losses,
        "novelty": {name: describe_values(values) for name, values in novelty.items()},
        "detection": detect(scores),
        "against": compare_with_baselines(scores),
        "seconds": {"train": trained.seconds, "score": seconds, "baselines": baselines.seconds},
    }
    points, variance = data.plane
    drawn = {
        "novelty": novelty,
        "nearest": baselines.nearest,
        "points": {name: points[of_set] for name, of_set in rows.items()},
        "scores": baselines.scores,
        "variance": variance,
    }
    return report, _tensors(drawn)


@torch.inference_mode()
def _inputs(model: RandomNetworkDistillation, embeddings: np.ndarray) -> np.ndarray:
    """The vectors that both networks see."""
    device = next(model.parameters()).device
    inputs: np.ndarray = model.standardise(torch.from_numpy(embeddings).to(device)).cpu().numpy()
    return inputs


def _by_set(values: np.ndarray, rows: Arrays) -> Arrays:
    """Cut values of all rows, one set after the other, into those of each set."""
    ends = np.cumsum([len(of_set) for of_set in rows.values()])
    return dict(zip(rows, np.split(values, ends[:-1]), strict=True))


def _tensors(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the arrays of nested dictionaries to tensors."""
    return {
        name: _tensors(value) if isinstance(value, dict) else torch.tensor(value)
        for name, value in arrays.items()
    }
