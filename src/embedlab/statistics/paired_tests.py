"""Significance tests of the difference between two systems on the same items."""

from collections.abc import Iterator

import numpy as np

from embedlab.statistics.intervals import blocks


def paired_randomisation_test(differences: np.ndarray, max_permutations: int, seed: int) -> float:
    """Compute the p-value of Fisher's randomisation test of paired scores, two-sided.

    Under the null hypothesis, each difference is equally likely to have the opposite sign. The
    p-value is the share of sign patterns whose sum of differences is at least as far from zero as
    the observed sum. All 2^c patterns are evaluated if these are at most `max_permutations`, else m
    random ones: if b of those are at least as extreme, p = (b + 1) / (m + 1). The differences
    `(c,)` are sums over clusters if items are not independent.

    Raises:
        ValueError: if a difference is not finite.

    References:
        Fisher 1935, The Design of Experiments, section 21; for retrieval, Smucker, Allan &
        Carterette 2007, A comparison of statistical significance tests for information retrieval
        evaluation; for random patterns, Phipson & Smyth 2010, arXiv 1603.05766.

    Example:
        >>> paired_randomisation_test(np.ones(5), max_permutations=32, seed=0)
        0.0625
    """
    if not np.isfinite(differences).all():
        raise ValueError("differences must be finite")
    num_pairs = len(differences)
    exact = 2**num_pairs <= max_permutations
    patterns = _all_flips(num_pairs) if exact else _random_flips(num_pairs, max_permutations, seed)
    extreme = _count_extreme(differences.astype(np.float64), patterns)
    return extreme / 2**num_pairs if exact else (extreme + 1) / (max_permutations + 1)


def _count_extreme(differences: np.ndarray, patterns: Iterator[np.ndarray]) -> int:
    """Count the patterns `(b, c)` of flipped signs whose sum is at least as extreme as observed."""
    observed = differences.sum()
    # Sums within the rounding error are ties (Higham 2002, section 3.1).
    rounding = 4 * len(differences) * np.finfo(np.float64).eps * np.abs(differences).sum()
    sums = (observed - 2 * (flipped @ differences) for flipped in patterns)
    return sum(int((np.abs(block) >= abs(observed) - rounding).sum()) for block in sums)


def _all_flips(num_pairs: int) -> Iterator[np.ndarray]:
    """All patterns, as the binary digits of 0 to 2^n - 1, in blocks."""
    for rows in blocks(2**num_pairs, num_pairs):
        yield np.arange(rows.start, rows.stop)[:, None] >> np.arange(num_pairs) & 1


def _random_flips(num_pairs: int, max_permutations: int, seed: int) -> Iterator[np.ndarray]:
    """Random patterns, in blocks."""
    rng = np.random.default_rng(seed)
    for rows in blocks(max_permutations, num_pairs):
        random_bytes = rng.integers(0, 256, (len(rows), num_pairs // 8 + 1), np.uint8)
        yield np.unpackbits(random_bytes, axis=1, count=num_pairs)
