"""Established novelty detectors, which RND is compared with.

To add one, write a function from a `DetectorInput` to scores `(m,)`, greater for vectors less like
the training vectors, and add a line to `DETECTORS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import IsolationForest

from embedlab.novelty.rnd import BLOCK_SIZE
from embedlab.search.neighbours import neighbours_of

# Added to the variance along every direction, over the mean variance: well above rounding error.
RIDGE = 1e-9


@dataclass(frozen=True)
class DetectorInput:
    """Training vectors `(n, d)`, and vectors to score `(m, d)`, float32.

    `num_neighbours` is k of the k-NN distance, lowered to n if there are fewer training vectors.
    """

    train: np.ndarray
    vectors: np.ndarray
    num_neighbours: int
    seed: int

    @cached_property
    def neighbour_distances(self) -> np.ndarray:
        """Euclidean distances to the k nearest training vectors, ascending: float32 `(m, k)`."""
        k = min(self.num_neighbours, len(self.train))
        return neighbours_of(self.vectors, self.train, k)[0]


def knn_distance(data: DetectorInput) -> np.ndarray:
    """Distance to the k-th nearest training vector.

    References:
        Sun, Ming, Zhu & Li 2022, Out-of-Distribution Detection with Deep Nearest Neighbors, arXiv
        2204.06507, which normalises the vectors first.
    """
    return data.neighbour_distances[:, -1]


def mahalanobis_distance(data: DetectorInput) -> np.ndarray:
    r"""Distance to the training mean, $|L^{-1} (x - \mu)|$ with the covariance $L L^\top$.

    The covariance is shrunk towards a multiple of the identity, which makes it invertible with
    fewer vectors than dimensions; the ridge makes it so with one or two distinct vectors.

    References:
        Lee, Lee, Lee & Shin 2018, A Simple Unified Framework for Detecting Out-of-Distribution
        Samples and Adversarial Attacks, arXiv 1807.03888, here of one class; Ledoit & Wolf 2004, A
        well-conditioned estimator for large-dimensional covariance matrices.
    """
    fitted = LedoitWolf(store_precision=False).fit(data.train.astype(np.float64))
    covariance, dimension = fitted.covariance_, data.train.shape[1]
    ridge = RIDGE * (covariance.trace() / dimension or 1.0)
    factor = np.linalg.cholesky(covariance + ridge * np.eye(dimension))
    blocks = np.array_split(data.vectors, len(data.vectors) // BLOCK_SIZE + 1)
    offsets = ((block - fitted.location_).T for block in blocks)
    whitened = (solve_triangular(factor, x, lower=True, overwrite_b=True) for x in offsets)
    return np.concatenate([np.linalg.norm(x, axis=0) for x in whitened])


def isolation_score(data: DetectorInput) -> np.ndarray:
    """Anomaly score $2^{-h / c}$: h random cuts isolate the vector on average, c are expected.

    References:
        Liu, Ting & Zhou 2008, Isolation Forest.
    """
    forest = IsolationForest(random_state=data.seed).fit(data.train)
    scores: np.ndarray = -forest.score_samples(data.vectors)
    return scores


class Detector(NamedTuple):
    """A function that scores vectors, and its label in figures."""

    label: str
    score: Callable[[DetectorInput], np.ndarray]


# k-NN comes first, since it refuses vectors that are not finite, naming the row.
DETECTORS = {
    "knn": Detector("k-NN distance", knn_distance),
    "mahalanobis": Detector("Mahalanobis", mahalanobis_distance),
    "isolation_forest": Detector("isolation forest", isolation_score),
}


def detector_scores(data: DetectorInput) -> dict[str, np.ndarray]:
    """Scores by each detector: float32 `(m,)`.

    Raises:
        InputError: if k is less than 1, the dimensions differ, or a vector is not finite.

    Example:
        >>> train = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
        >>> data = DetectorInput(train, np.float32([[0, 0], [9, 9]]), num_neighbours=5, seed=0)
        >>> [bool(near < far) for near, far in detector_scores(data).values()]
        [True, True, True]
    """
    return {name: detector.score(data).astype(np.float32) for name, detector in DETECTORS.items()}
