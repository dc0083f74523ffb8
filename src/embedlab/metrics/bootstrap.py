"""Bootstrap confidence intervals."""

import numpy as np

# Weights held at a time: 32 MiB.
BLOCK_SIZE = 2**22


def mean_interval(
    values: np.ndarray, n_resamples: int, seed: int, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean over items, with the percentile bootstrap interval of that mean.

    A resample of n items gives each a multinomial weight, so that the means of many resamples are
    one matrix product. All columns share the resamples.

    Args:
        values: `(n,)`, or `(n, m)` for m columns.
        n_resamples: number of bootstrap samples.
        seed: of the samples.
        confidence: probability that the interval is to cover.

    Returns:
        Mean, lower and upper end, each of shape `()`, or `(m,)`.

    References:
        Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.
    """
    rng = np.random.default_rng(seed)
    n_items = len(values)
    chances = np.full(n_items, 1 / n_items)
    step = max(1, BLOCK_SIZE // n_items)
    means = [
        rng.multinomial(n_items, chances, min(step, n_resamples - start)) @ values / n_items
        for start in range(0, n_resamples, step)
    ]
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0)
    return values.mean(axis=0), low, high
