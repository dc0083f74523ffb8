"""Bootstrap confidence intervals."""

from collections.abc import Iterator, Sequence

import numpy as np

# Numbers held at a time: 32 MiB.
BLOCK_SIZE = 2**22


def mean_interval(
    values: np.ndarray, n_resamples: int, seed: int, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean over items, with the percentile bootstrap interval of that mean.

    Args:
        values: `(n,)`, or `(n, m)` for m columns, which share the resamples.
        n_resamples: number of bootstrap samples.
        seed: of the samples.
        confidence: probability that the interval is to cover.

    Returns:
        Mean, lower and upper end, each of shape `()`, or `(m,)`.

    References:
        Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.
    """
    means = _resampled_sums(values, n_resamples, seed) / len(values)
    low, high = np.quantile(means, _tails(confidence), axis=0)
    return values.mean(axis=0), low, high


def stratified_mean_interval(
    strata: Sequence[np.ndarray],
    weights: Sequence[float],
    n_resamples: int,
    seed: int,
    confidence: float = 0.95,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The weighted sum of the means of strata, with its percentile bootstrap interval.

    The items of each stratum are resampled by themselves, the strata being what they are.

    Args:
        strata: arrays `(n_s,)`, or `(n_s, m)` for m columns, which share the resamples.
        weights: of the strata; with sum 1 for an average.
        n_resamples: number of bootstrap samples.
        seed: of the samples.
        confidence: probability that the interval is to cover.

    Returns:
        Mean, lower and upper end, each of shape `()`, or `(m,)`.

    References:
        Davison & Hinkley 1997, Bootstrap Methods and their Application, section 3.2.
    """
    rng = np.random.default_rng(seed)
    pairs = list(zip(weights, strata, strict=True))
    means = [w / len(own) * _resampled_sums(own, n_resamples, rng) for w, own in pairs]
    low, high = np.quantile(np.sum(means, axis=0), _tails(confidence), axis=0)
    return np.sum([w * own.mean(axis=0) for w, own in pairs], axis=0), low, high


def ratio_interval(
    numerators: np.ndarray,
    denominators: np.ndarray,
    n_resamples: int,
    seed: int,
    confidence: float = 0.95,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ratio of two sums over clusters, with its percentile bootstrap interval.

    Whole clusters are resampled, since items of one cluster are not independent. The accuracy over
    pairs that are grouped by prefix, for one, has the correct pairs of each prefix as numerators
    and its pairs as denominators. Resamples whose denominator is zero are left out.

    Args:
        numerators: `(c,)`, or `(c, m)` for m ratios, which share the resamples.
        denominators: of the same shape, none negative, with positive sums.
        n_resamples: number of bootstrap samples.
        seed: of the samples.
        confidence: probability that the interval is to cover.

    Returns:
        Ratio, lower and upper end, each of shape `()`, or `(m,)`.

    Raises:
        ValueError: if denominators have a sum that is not positive.

    References:
        Davison & Hinkley 1997, Bootstrap Methods and their Application, section 3.8 (strategy 1);
        Field & Welsh 2007, Bootstrapping clustered data.
    """
    columns = np.column_stack([numerators, denominators]).astype(np.float64)
    shape = (2, *numerators.shape[1:])
    numerator, denominator = columns.sum(axis=0).reshape(shape)
    if not np.all(denominator > 0):
        raise ValueError("denominators must have a positive sum")
    sums = _resampled_sums(columns, n_resamples, seed).reshape(-1, *shape)
    undefined = np.full(sums[:, 0].shape, np.nan)
    ratios = np.divide(sums[:, 0], sums[:, 1], out=undefined, where=sums[:, 1] > 0)
    low, high = np.nanquantile(ratios, _tails(confidence), axis=0)
    return numerator / denominator, low, high


def blocks(n_rows: int, width: int) -> Iterator[range]:
    """Cut `n_rows` rows of `width` numbers into blocks of at most `BLOCK_SIZE` numbers."""
    step = max(1, BLOCK_SIZE // width)
    return (range(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def _resampled_sums(
    values: np.ndarray, n_resamples: int, seed: int | np.random.Generator
) -> np.ndarray:
    """The sums over items in every resample: `(n_resamples,)`, or `(n_resamples, m)`.

    A resample of n items gives each a multinomial weight, so that the sums of many resamples are
    one matrix product.
    """
    rng = np.random.default_rng(seed)
    n_items = len(values)
    chances = np.full(n_items, 1 / n_items)
    rows = blocks(n_resamples, n_items)
    return np.concatenate([rng.multinomial(n_items, chances, len(r)) @ values for r in rows])


def _tails(confidence: float) -> tuple[float, float]:
    """The quantiles at which an interval ends."""
    tail = (1 - confidence) / 2
    return tail, 1 - tail
