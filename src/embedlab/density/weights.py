"""Inverse-density weights: how rare each item is among its neighbours.

The density around an item falls as the distance r to its neighbours grows, so the weight grows
with r.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from embedlab.errors import InputError

Estimator = Literal["mean_distance", "kth_distance"]
WeightMode = Literal["none", "linear", "sqrt", "log"]

TRANSFORMS: dict[WeightMode, Callable[[np.ndarray], np.ndarray]] = {
    "none": np.ones_like,
    "linear": np.positive,
    "sqrt": np.sqrt,
    "log": np.log1p,
}

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


def density_weights(
    distances: np.ndarray, estimator: Estimator, exponent: float = 1.0
) -> np.ndarray:
    r"""The weight $r_i^m / \overline{r^m}$ of each item: the inverse of its density $1 / r_i^m$.

    $r_i$ is the mean distance to the k nearest neighbours (Angiulli & Pizzuti 2002), or that to
    the k-th (Loftsgaarden & Quesenberry 1965; Ramaswamy et al. 2000). An item with $r_i = 0$, but
    for rounding, has k duplicates and takes the smallest other $r$: it can still be sampled.

    Args:
        distances: `(n, k)`, to the nearest neighbours, the nearest first.
        estimator: how $r_i$ is taken from them.
        exponent: m. The order of the items is the same for all m, their contrast is not: with the
            intrinsic dimension of the data (often about 10) the weight is inverse to a probability
            density, and few items hold most of it.

    Returns:
        Positive float32 weights `(n,)` of mean 1; all 1 if all distances are 0.
    """
    exact = distances.astype(np.float64)
    radii = exact.mean(axis=1) if estimator == "mean_distance" else exact[:, -1]
    positive = radii[radii > _rounding(distances)]
    if not positive.size:
        return np.ones(len(distances), dtype=np.float32)
    powers = (np.maximum(radii, positive.min()) / positive.max()) ** exponent
    # A power may be too small for float32, and even so an item must stay one that can be drawn.
    weights = np.maximum(powers / powers.mean(), np.finfo(np.float32).tiny)
    return weights.astype(np.float32)


def loss_weights(weights: np.ndarray, mode: WeightMode, cap: float | None = None) -> np.ndarray:
    r"""What the losses of n examples are multiplied by: $\min(f(w_i) / \overline{f(w)}, c)$.

    Args:
        weights: positive, `(n,)`.
        mode: f is the constant 1, $w$, $\sqrt{w}$ or $\ln(1 + w)$.
        cap: c, which bounds the pull of one example; the mean falls below 1 where it acts. None
            for no bound.

    Returns:
        float32, `(n,)`.
    """
    exact = weights.astype(np.float64)
    transformed = TRANSFORMS[mode](exact)
    scaled = transformed / transformed.mean()
    return np.minimum(scaled, np.inf if cap is None else cap).astype(np.float32)


def sampling_probabilities(weights: np.ndarray) -> np.ndarray:
    r"""The probabilities $w_i / \sum_j w_j$, float64, `(n,)`."""
    exact = weights.astype(np.float64)
    return exact / exact.sum()


def density_mapping(ids: Sequence[str], weights: np.ndarray) -> dict[str, float]:
    """The weight of each id, in the order of the ids.

    Raises:
        InputError: if ids and weights differ in number, an id stands twice, or a weight is
            negative or not finite.
    """
    again = "run `kedro run --pipelines=density` again"
    if weights.shape != (len(ids),):
        raise InputError(
            f"density_ids and density_weights do not fit: {len(ids)} ids, and weights of shape "
            f"{weights.shape}; {again}"
        )
    mapping = dict(zip(ids, weights.tolist(), strict=True))
    if len(mapping) < len(ids):
        twice = Counter(ids).most_common(1)[0][0]
        raise InputError(f"density_ids: {twice!r} stands more than once; {again}")
    faulty = ~(np.isfinite(weights) & (weights >= 0))
    if faulty.any():
        row = int(faulty.argmax())
        raise InputError(f"density_weights: row {row} is {weights[row]}, no weight; {again}")
    return mapping


def density_quintiles(weights: np.ndarray) -> np.ndarray:
    """The fifth of the items that each is in, from 1 (crowded) to 5 (rare); int64, `(n,)`.

    Where all weights differ, fifths are equal in size to within one item. Equal weights are in the
    same fifth, that of their mean rank.
    """
    ranks = pd.Series(weights).rank().to_numpy() - 0.5
    return 1 + (5 * ranks / max(1, len(weights))).astype(np.int64)


def describe_density(distances: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    r"""What is to be known of weights, ready for JSON.

    The effective sample size is $(\sum_i w_i)^2 / \sum_i w_i^2$ (Kish 1965, Survey Sampling): the
    number of equally weighted items whose mean has the variance of the weighted mean. Duplicates
    are the items whose nearest neighbour is at distance 0, but for rounding.

    Args:
        distances: `(n, k)`, to the nearest neighbours, the nearest first.
        weights: `(n,)`.
    """
    exact = weights.astype(np.float64)
    levels = np.percentile(exact, PERCENTILES)
    return {
        "n_items": len(exact),
        "k": distances.shape[1],
        **{name: float(getattr(exact, name)()) for name in ("min", "max", "mean", "std")},
        "percentiles": dict(zip(map(str, PERCENTILES), levels.tolist(), strict=True)),
        "effective_sample_size": float(exact.sum() ** 2 / np.square(exact).sum()),
        "duplicates": int((distances[:, 0] <= _rounding(distances)).sum()),
    }


def _rounding(distances: np.ndarray) -> float:
    """What a distance of 0 may come out as: cosines of parallel vectors are not quite 1."""
    return float(np.finfo(np.float32).eps * distances.max())
