"""What a set of numbers is like, in few of them."""

import numpy as np

PERCENTILES = (5, 25, 50, 75, 95)


def describe(values: np.ndarray) -> dict[str, float]:
    """Mean, deviation, extremes and percentiles of values `(m,)`."""
    exact = values.astype(np.float64)
    levels = zip(PERCENTILES, np.percentile(exact, PERCENTILES), strict=True)
    named = {name: float(getattr(exact, name)()) for name in ("mean", "std", "min", "max")}
    return named | {f"p{level}": float(value) for level, value in levels}
