"""Measures of how well a score separates novel items from known ones.

Novel items are the positive class: their scores should be greater.
"""

import numpy as np
from scipy import stats

from embedlab.statistics.intervals import TAIL


def auroc(novel: np.ndarray, known: np.ndarray) -> float:
    r"""Compute the area under the ROC curve, $P(x > y) + P(x = y) / 2$ for x novel and y known.

    This is the Mann-Whitney statistic divided by the number of pairs, from the ranks of all scores
    `(a,)` and `(b,)`. A random score has 0.5.

    Raises:
        ValueError: if either array is empty or has a NaN.

    References:
        Mann & Whitney 1947; Hanley & McNeil 1982, The meaning and use of the area under a receiver
        operating characteristic (ROC) curve.

    Example:
        >>> auroc(np.array([3.0, 4.0]), np.array([1.0, 3.0]))
        0.875
    """
    return float(_placements(novel, known)[0].mean())


def false_positive_rate(novel: np.ndarray, known: np.ndarray, recall: float = 0.95) -> float:
    """Compute the share of known items that are flagged if `recall` of the novel items are.

    Items with a score at or above a threshold are flagged: the highest threshold that flags at
    least the share `recall` of the novel items. A random score has a rate of about `recall`.

    Raises:
        ValueError: if either array is empty or has a NaN, or recall is out of range.

    References:
        FPR95 of Hendrycks, Mazeika & Dietterich 2019, Deep Anomaly Detection with Outlier Exposure,
        arXiv 1812.04606, section 4.
    """
    _check(novel, known)
    if not 0 < recall <= 1:
        raise ValueError(f"recall must be above 0 and at most 1 (got {recall})")
    # Compare shares, not counts: recall * a may round to just above a whole number.
    shares = np.arange(1, len(novel) + 1) / len(novel)
    threshold = np.sort(novel)[::-1][np.searchsorted(shares, recall)]
    return float((known >= threshold).mean())


def delong_test(
    novel_a: np.ndarray, known_a: np.ndarray, novel_b: np.ndarray, known_b: np.ndarray
) -> dict[str, float | None]:
    r"""Test whether the AUROC of score A differs from that of score B on the same items.

    Let $V(x)$ be the share of known items below a novel x, $V(y)$ the share of novel items above a
    known y (ties count half), $\Delta$ the difference A - B, and $s^2$ the sample variance. For
    many items, the difference of the AUROCs is normal with variance
    $s^2(\Delta V(x)) / a + s^2(\Delta V(y)) / b$. The interval is not limited to [-1, 1].

    Scores A and B are of the same novel items `(a,)` and known items `(b,)`, in the same order.

    Returns:
        difference (A - B) with the ends of its 95 % interval, low and high, and the two-sided
        p_value. If the variance is zero, for example because both scores are perfect, the interval
        is a point, and p is 1 for equal AUROCs, else 0. With a single novel or known item the
        variance is unknown: low, high and p_value are None.

    Raises:
        ValueError: if A and B have different numbers of scores, or an array is empty or has a NaN.

    References:
        DeLong, DeLong & Clarke-Pearson 1988, Comparing the areas under two or more correlated
        receiver operating characteristic curves; by ranks, Sun & Xu 2014, Fast implementation of
        DeLong's algorithm.
    """
    if len(novel_a) != len(novel_b) or len(known_a) != len(known_b):
        raise ValueError("scores A and B must be of the same items")
    both = zip(_placements(novel_a, known_a), _placements(novel_b, known_b), strict=True)
    changes = [a - b for a, b in both]
    difference = float(changes[0].mean())
    if min(map(len, changes)) < 2:
        return {"difference": difference, "low": None, "high": None, "p_value": None}
    error = sum(change.var(ddof=1) / len(change) for change in changes) ** 0.5
    margin = stats.norm.isf(TAIL) * error
    limit = np.inf if difference else 0.0
    deviation = abs(difference) / error if error else limit
    return {
        "difference": difference,
        "low": float(difference - margin),
        "high": float(difference + margin),
        "p_value": float(2 * stats.norm.sf(deviation)),
    }


def _placements(novel: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share of each item's pairs that are in the right order, ties as half; `(a,)` and `(b,)`.

    The number of scores of the other kind below an item is its rank among all scores minus its rank
    among the scores of its kind (Sun & Xu 2014).
    """
    _check(novel, known)
    ranks = stats.rankdata(np.concatenate([novel, known]))
    below_novel = ranks[: len(novel)] - stats.rankdata(novel)
    below_known = ranks[len(novel) :] - stats.rankdata(known)
    return below_novel / len(known), 1 - below_known / len(novel)


def _check(novel: np.ndarray, known: np.ndarray) -> None:
    if not len(novel) or not len(known):
        raise ValueError("there must be at least one novel and one known item")
    if np.isnan(novel).any() or np.isnan(known).any():
        raise ValueError("scores must be numbers")
