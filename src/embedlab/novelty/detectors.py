"""Novelty by established detectors, to hold a learned one against.

A score is greater the more novel a vector is: the less it is like the training vectors.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy.linalg import solve_triangular
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import IsolationForest

from embedlab.search.neighbours import neighbours_of
from embedlab.statistics.intervals import blocks

Scorer = Callable[[np.ndarray], np.ndarray]

# Least variance along any direction, over the mean: well above the rounding of a covariance.
RIDGE = 1e-9


def baseline_scores(
    train: np.ndarray, sets: Mapping[str, np.ndarray], k: int, seed: int
) -> dict[str, dict[str, np.ndarray]]:
    """Score sets of vectors by three detectors fitted to training vectors.

    - `knn`: distance to the k-th nearest training vector, to the farthest one if there are fewer.
    - `mahalanobis`: distance to the training mean, with a shrunk covariance.
    - `isolation_forest`: how few random cuts part a vector from others, from 0 to 1; 100 trees on
      at most 256 training vectors each.

    Args:
        train: `(n, d)`, float32.
        sets: vectors `(m, d)` by the name of their set. A training vector among them is its own
            nearest neighbour.
        k: neighbour whose distance counts.
        seed: of the isolation forest.

    Returns:
        float32 scores `(m,)` by detector, then by set.

    Raises:
        InputError: if k is less than 1, the dimensions differ, or a vector is not finite.

    References:
        Sun, Ming, Zhu & Li 2022, Out-of-Distribution Detection with Deep Nearest Neighbors, arXiv
        2204.06507, which normalises the vectors first; Lee, Lee, Lee & Shin 2018, A Simple Unified
        Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks, arXiv
        1807.03888, here of one class; Liu, Ting & Zhou 2008, Isolation Forest.
    """
    # k-NN comes first: it refuses faulty vectors, and names their row.
    nearest = {name: _distances(train, vectors, k) for name, vectors in sets.items()}
    scorers = {"mahalanobis": _mahalanobis(train), "isolation_forest": _forest(train, seed)}
    scores = {
        method: {name: score(vectors).astype(np.float32) for name, vectors in sets.items()}
        for method, score in scorers.items()
    }
    return {"knn": nearest, **scores}


def nearest_distances(train: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Euclidean distance of each vector to the nearest training vector.

    Args:
        train: `(n, d)`.
        vectors: `(m, d)`.

    Returns:
        float32, `(m,)`; 0 for a training vector.

    Raises:
        InputError: if there is no training vector, the dimensions differ, or a vector is not
            finite.
    """
    return neighbours_of(vectors, train, 1)[0][:, 0]


def _distances(train: np.ndarray, vectors: np.ndarray, k: int) -> np.ndarray:
    return neighbours_of(vectors, train, min(k, len(train)))[0][:, -1]


def _mahalanobis(train: np.ndarray) -> Scorer:
    r"""The distance $\sqrt{(x - \mu)^\top \Sigma^{-1} (x - \mu)}$ to the training mean.

    The covariance is drawn towards a multiple of the identity, and so is invertible even where
    there are fewer vectors than dimensions; but for two vectors, or equal ones, which the ridge is
    for. With its Cholesky factor L, the distance is $|L^{-1} (x - \mu)|$.

    References:
        Ledoit & Wolf 2004, A well-conditioned estimator for large-dimensional covariance matrices.
    """
    fitted = LedoitWolf(store_precision=False).fit(train.astype(np.float64))
    mean_variance = fitted.covariance_.trace() / train.shape[1] or 1.0
    factor = np.linalg.cholesky(fitted.covariance_ + RIDGE * mean_variance * np.eye(train.shape[1]))

    def score(vectors: np.ndarray) -> np.ndarray:
        distances = np.empty(len(vectors))
        for rows in blocks(*vectors.shape):
            offsets = vectors[rows.start : rows.stop] - fitted.location_
            whitened = solve_triangular(factor, offsets.T, lower=True)
            distances[rows.start : rows.stop] = np.linalg.norm(whitened, axis=0)
        return distances

    return score


def _forest(train: np.ndarray, seed: int) -> Scorer:
    """The anomaly score $2^{-E(h) / c}$ of the path lengths h; scikit-learn gives it negated."""
    forest = IsolationForest(random_state=seed).fit(train)
    return lambda vectors: -forest.score_samples(vectors)
