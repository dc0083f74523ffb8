"""Inverse-density weights: they grow with the distance to an item's neighbours."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd

from embedlab.errors import InputError
from embedlab.text_table import Ids, repeated_rows

Estimator = Literal["mean_distance", "kth_distance"]
WeightMode = Literal["none", "linear", "sqrt", "log"]

TRANSFORMS: dict[WeightMode, Callable[[np.ndarray], np.ndarray]] = {
    "none": np.ones_like,
    "linear": np.positive,
    "sqrt": np.sqrt,
    "log": np.log1p,
}

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)

# Items whose distances are held in double precision at a time.
BLOCK_SIZE = 65536


def density_weights(
    distances: np.ndarray, estimator: Estimator, exponent: float = 1.0
) -> np.ndarray:
    r"""Compute the weight $r_i^m / \overline{r^m}$ of each item, the inverse of its density.

    The density of item i is $1 / r_i^m$, where $r_i$ is the mean distance to the k nearest
    neighbours (Angiulli & Pizzuti 2002) or the distance to the k-th (Loftsgaarden & Quesenberry
    1965; Ramaswamy et al. 2000). An item with k duplicates has $r_i = 0$ up to rounding and gets
    the smallest positive $r$, so that it can still be sampled.

    Args:
        distances: `(n, k)`, to the nearest neighbours, ascending.
        estimator: which distance $r_i$ is.
        exponent: m. It changes the contrast of the weights, not their order. If m is the intrinsic
            dimension of the data (often about 10), the weight is the inverse of a probability
            density, and few items have most of the total weight.

    Returns:
        Positive float32 weights `(n,)` with mean 1; all 1 if all distances are 0.

    Example:
        >>> density_weights(np.array([[1.0, 3.0], [2.0, 2.0], [4.0, 8.0]]), "kth_distance")
        array([0.6923077 , 0.46153846, 1.8461539 ], dtype=float32)
    """
    radii = _radii(distances, estimator)
    positive = radii[radii > _rounding(distances)]
    if not positive.size:
        return np.ones(len(distances), dtype=np.float32)
    powers = (np.maximum(radii, positive.min()) / positive.max()) ** exponent
    # A power that underflows in float32 must stay positive, so that the item can be drawn.
    weights: np.ndarray = np.maximum(powers / powers.mean(), np.finfo(np.float32).tiny)
    return weights.astype(np.float32)


def loss_weights(weights: np.ndarray, mode: WeightMode, cap: float | None = None) -> np.ndarray:
    r"""Compute the factors of the losses of n examples: $\min(f(w_i) / \overline{f(w)}, c)$.

    The weights `(n,)` are positive, and f is the constant 1, $w$, $\sqrt{w}$ or $\ln(1 + w)$. A cap
    c below the greatest factor lowers the mean of the factors, float32 `(n,)`, below 1.
    """
    exact = weights.astype(np.float64)
    transformed = TRANSFORMS[mode](exact)
    scaled = transformed / transformed.mean()
    capped: np.ndarray = np.minimum(scaled, np.inf if cap is None else cap)
    return capped.astype(np.float32)


def check_density(ids: Ids, weights: np.ndarray) -> None:
    """Check that ids and weights fit.

    Raises:
        InputError: if the numbers of ids and weights differ, an id occurs more than once, or a
            weight is negative or not finite.
    """
    again = "run `kedro run --pipelines=density` again"
    if weights.shape != (len(ids),):
        raise InputError(
            f"density_ids and density_weights do not fit: {len(ids)} ids, and weights of shape "
            f"{weights.shape}; {again}"
        )
    if len(repeated := repeated_rows(ids)):
        identifier = ids[int(repeated[0])].as_py()
        raise InputError(f"density_ids: {identifier!r} occurs more than once; {again}")
    faulty = ~(np.isfinite(weights) & (weights >= 0))
    if faulty.any():
        row = int(faulty.argmax())
        raise InputError(
            f"density_weights: row {row} is {weights[row]}, but weights are finite and not "
            f"negative; {again}"
        )


def density_quintiles(weights: np.ndarray) -> np.ndarray:
    """Compute the quintile of each item, from 1 (crowded) to 5 (rare); int64, `(n,)`.

    If all weights differ, the sizes of the quintiles differ by at most one. Items of equal weight
    are all in the quintile of their mean rank.

    Example:
        >>> density_quintiles(np.arange(10.0)).tolist()
        [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    """
    ranks = pd.Series(weights).rank().to_numpy() - 0.5
    return 1 + (5 * ranks / max(1, len(weights))).astype(np.int64)


def describe_density(distances: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    r"""Summarise weights, ready for JSON.

    The effective sample size is $(\sum_i w_i)^2 / \sum_i w_i^2$ (Kish 1965, Survey Sampling): the
    number of equally weighted items whose mean has the variance of the weighted mean. Duplicates
    are the items whose nearest neighbour is at distance 0 up to rounding. Distances `(n, k)` to the
    nearest neighbours are ascending.
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


def _radii(distances: np.ndarray, estimator: Estimator) -> np.ndarray:
    """The distance `(n,)` in double precision that determines the weight of each item."""
    if estimator == "kth_distance":
        return distances[:, -1].astype(np.float64)
    radii = np.empty(len(distances))
    for start in range(0, len(distances), BLOCK_SIZE):
        block = slice(start, start + BLOCK_SIZE)
        radii[block] = distances[block].astype(np.float64).mean(axis=1)
    return radii


def _rounding(distances: np.ndarray) -> float:
    """The greatest distance that counts as 0: the cosine of parallel vectors rounds to about 1."""
    return float(np.finfo(np.float32).eps * distances.max())
