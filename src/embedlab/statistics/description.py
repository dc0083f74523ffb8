"""Summary statistics of a sample."""

import numpy as np

PERCENTILES = (5, 25, 50, 75, 95)


def describe_values(values: np.ndarray) -> dict[str, float]:
    """Compute mean, standard deviation, extremes and percentiles of values `(m,)`.

    Example:
        >>> list(describe_values(np.arange(5)))
        ['mean', 'std', 'min', 'max', 'p5', 'p25', 'p50', 'p75', 'p95']
    """
    exact = values.astype(np.float64, copy=False)
    levels = zip(PERCENTILES, np.percentile(exact, PERCENTILES), strict=True)
    named = {name: float(getattr(exact, name)()) for name in ("mean", "std", "min", "max")}
    return named | {f"p{level}": float(value) for level, value in levels}
