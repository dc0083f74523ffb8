"""Whether two systems differ by more than chance, from their scores on the same items."""

from collections.abc import Iterator

import numpy as np

from embedlab.statistics.intervals import blocks


def paired_randomisation_test(differences: np.ndarray, n_permutations: int, seed: int) -> float:
    """Fisher's randomisation test of paired scores, two-sided.

    If the two systems are alike, each difference might as well have the other sign. The p-value is
    the share of sign patterns whose sum of differences is at least as far from zero as the observed
    one. All 2^c patterns are counted where `n_permutations` allows it; else m random ones, and if b
    of them are as extreme, p = (b + 1) / (m + 1).

    Args:
        differences: `(c,)`, finite; those of c clusters where items are not independent.
        n_permutations: sign patterns to look at, at most.
        seed: of the random patterns.

    Returns:
        p, above 0 and at most 1.

    Raises:
        ValueError: if a difference is not finite.

    References:
        Fisher 1935, The Design of Experiments, section 21; for retrieval, Smucker, Allan &
        Carterette 2007, A comparison of statistical significance tests for information retrieval
        evaluation; for random patterns, Phipson & Smyth 2010, arXiv 1603.05766.
    """
    if not np.isfinite(differences).all():
        raise ValueError("differences must be finite")
    n_pairs = len(differences)
    exact = 2**n_pairs <= n_permutations
    patterns = _all_flips(n_pairs) if exact else _random_flips(n_pairs, n_permutations, seed)
    extreme = _count_extreme(differences.astype(np.float64), patterns)
    return extreme / 2**n_pairs if exact else (extreme + 1) / (n_permutations + 1)


def _count_extreme(differences: np.ndarray, patterns: Iterator[np.ndarray]) -> int:
    """How many patterns `(b, c)` of flipped signs give a sum at least as extreme as no flip."""
    observed = differences.sum()
    # Sums that are equal but for rounding are ties (Higham 2002, section 3.1).
    rounding = 4 * len(differences) * np.finfo(np.float64).eps * np.abs(differences).sum()
    sums = (observed - 2 * (flipped @ differences) for flipped in patterns)
    return sum(int((np.abs(block) >= abs(observed) - rounding).sum()) for block in sums)


def _all_flips(n_pairs: int) -> Iterator[np.ndarray]:
    """Every pattern, as the binary digits of 0 to 2^n_pairs - 1, in blocks."""
    for rows in blocks(2**n_pairs, n_pairs):
        yield np.arange(rows.start, rows.stop)[:, None] >> np.arange(n_pairs) & 1


def _random_flips(n_pairs: int, n_permutations: int, seed: int) -> Iterator[np.ndarray]:
    """Random patterns, in blocks."""
    rng = np.random.default_rng(seed)
    for rows in blocks(n_permutations, n_pairs):
        random_bytes = rng.integers(0, 256, (len(rows), n_pairs // 8 + 1), np.uint8)
        yield np.unpackbits(random_bytes, axis=1, count=n_pairs)
