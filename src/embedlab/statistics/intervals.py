"""Confidence intervals: by bootstrap over items, and by Student's t over seeds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from scipy import stats

# Numbers held at a time: 32 MiB.
BLOCK_SIZE = 2**22

# Share of each of the two tails outside an interval of 95 % confidence.
TAIL = (1 - 0.95) / 2


class Interval(NamedTuple):
    """An estimate with the ends of its 95 % confidence interval; unknown ends are None.

    Example:
        >>> Interval(0.5, 0.25, 1.25).clipped(0, 1)._asdict()
        {'mean': 0.5, 'low': 0.25, 'high': 1}
    """

    mean: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, cell: Mapping[str, Any]) -> Self:
        """Read an interval from a cell of a report, whatever other keys the cell has."""
        return cls(cell["mean"], cell["low"], cell["high"])

    def clipped(self, lowest: float, highest: float) -> "Interval":
        """Limit both ends to the range of the quantity."""
        low, high = (
            end if end is None else min(max(end, lowest), highest) for end in (self.low, self.high)
        )
        return Interval(self.mean, low, high)

    def in_points(self) -> str:
        """Format in hundredths, as in `54.1 [51.8, 56.3]`."""
        mean, low, high = ("-" if end is None else f"{100 * end:.1f}" for end in self)
        return f"{mean} [{low}, {high}]"


def mean_interval(values: np.ndarray, num_resamples: int, seed: int) -> Interval:
    """Compute the mean over items of values `(n,)` with its percentile bootstrap interval.

    References:
        Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.

    Example:
        >>> mean_interval(np.full(5, 0.3), num_resamples=10, seed=0).in_points()
        '30.0 [30.0, 30.0]'
    """
    means = _resampled_sums(values, num_resamples, seed) / len(values)
    return _interval(values.mean(), means)


def mean_intervals(values: np.ndarray, num_resamples: int, seed: int) -> list[Interval]:
    """Compute `mean_interval` of each of m columns `(n, m)`, which share the resamples."""
    means = _resampled_sums(values, num_resamples, seed) / len(values)
    return _intervals(values.mean(axis=0), means)


def stratified_mean_intervals(
    strata: Sequence[np.ndarray], weights: Sequence[float], num_resamples: int, seed: int
) -> list[Interval]:
    """Compute weighted sums of the means of strata, with percentile bootstrap intervals.

    Strata are arrays `(n_s, m)` of m columns, which share the resamples; the weights sum to 1 for
    an average. Items are resampled within each stratum; strata and weights are fixed.

    References:
        Davison & Hinkley 1997, Bootstrap Methods and their Application, section 3.2.
    """
    rng = np.random.default_rng(seed)
    pairs = list(zip(weights, strata, strict=True))
    means = [w / len(rows) * _resampled_sums(rows, num_resamples, rng) for w, rows in pairs]
    mean = np.sum([w * rows.mean(axis=0) for w, rows in pairs], axis=0)
    return _intervals(mean, np.sum(means, axis=0))


def ratio_interval(
    numerators: np.ndarray, denominators: np.ndarray, num_resamples: int, seed: int
) -> Interval:
    """Compute the ratio of two sums over clusters, with its percentile bootstrap interval.

    Items of a cluster are not independent, so whole clusters are resampled. Example: the accuracy
    over pairs that are grouped by prefix; the numerators are the number of correct pairs of each
    prefix, the denominators its number of pairs. Resamples with a zero denominator are left out.

    Numerators and denominators are `(c,)`, denominators not negative. The interval of a single
    cluster, all of whose resamples are alike, has no ends.

    Raises:
        ValueError: if the sum of the denominators is not positive.

    References:
        Davison & Hinkley 1997, Bootstrap Methods and their Application, section 3.8 (strategy 1);
        Field & Welsh 2007, Bootstrapping clustered data.
    """
    columns = np.column_stack([numerators, denominators]).astype(np.float64)
    numerator, denominator = columns.sum(axis=0).tolist()
    if denominator <= 0:
        raise ValueError("denominators must have a positive sum")
    ratio = numerator / denominator
    if len(columns) == 1:
        return Interval(ratio, None, None)
    sums = _resampled_sums(columns, num_resamples, seed)
    defined = sums[sums[:, 1] > 0]
    return _interval(ratio, defined[:, 0] / defined[:, 1])


def seed_interval(values: Sequence[float]) -> Interval:
    r"""Compute the mean over seeds with its interval, $\bar x \pm t_{n - 1} s / \sqrt n$.

    The interval covers the variation over seeds on the same items, not over items. For a single
    seed it has no ends.

    Raises:
        ValueError: if there is no value.

    References:
        Student 1908, The probable error of a mean.
    """
    if not len(values):
        raise ValueError("there must be a value of at least one seed")
    mean = float(np.mean(values))
    if len(values) == 1:
        return Interval(mean, None, None)
    margin = float(stats.t.isf(TAIL, len(values) - 1) * stats.sem(values))
    return Interval(mean, mean - margin, mean + margin)


def blocks(num_rows: int, width: int) -> Iterator[range]:
    """Cut `num_rows` rows of `width` numbers into blocks of at most `BLOCK_SIZE` numbers."""
    step = max(1, BLOCK_SIZE // width)
    return (range(start, min(start + step, num_rows)) for start in range(0, num_rows, step))


def _resampled_sums(
    values: np.ndarray, num_resamples: int, seed: int | np.random.Generator
) -> np.ndarray:
    """The sums over items in every resample: `(num_resamples,)`, or `(num_resamples, m)`.

    The number of times that a resample holds each item is multinomial, so the sums of many
    resamples are one matrix product.
    """
    rng = np.random.default_rng(seed)
    chances = np.full(len(values), 1 / len(values))
    rows = blocks(num_resamples, len(values))
    return np.concatenate([rng.multinomial(len(values), chances, len(r)) @ values for r in rows])


def _interval(mean: float, resampled: np.ndarray) -> Interval:
    ends = np.quantile(resampled, (TAIL, 1 - TAIL))
    return Interval(float(mean), *ends.tolist())


def _intervals(means: np.ndarray, resampled: np.ndarray) -> list[Interval]:
    return [_interval(*pair) for pair in zip(means, resampled.T, strict=True)]
