"""How well a score tells novel items from known ones.

A score is meant to be greater the more novel an item is; novel items are the positive class.
"""

import numpy as np
from scipy import stats


def auroc(novel: np.ndarray, known: np.ndarray) -> float:
    r"""The area under the ROC curve, $P(x > y) + P(x = y) / 2$ for x novel and y known.

    It is the Mann-Whitney statistic over the number of pairs, from the ranks of all scores.

    Args:
        novel: scores `(a,)`.
        known: scores `(b,)`.

    Returns:
        From 0 to 1; 0.5 for a score that tells nothing.

    Raises:
        ValueError: if there is no score of either kind, or one is not a number.

    References:
        Mann & Whitney 1947; Hanley & McNeil 1982, The meaning and use of the area under a receiver
        operating characteristic (ROC) curve.
    """
    return float(_placements(novel, known)[0].mean())


def false_positive_rate(novel: np.ndarray, known: np.ndarray, recall: float = 0.95) -> float:
    """The share of known items flagged where at least `recall` of the novel ones are.

    Items are flagged whose score is at or above a threshold: the highest one of that recall.

    Args:
        novel: scores `(a,)`.
        known: scores `(b,)`.
        recall: above 0 and at most 1.

    Returns:
        From 0 to 1; about `recall` for a score that tells nothing.

    Raises:
        ValueError: if there is no score of either kind, one is not a number, or recall is out of
            range.

    References:
        FPR95 of Hendrycks, Mazeika & Dietterich 2019, Deep Anomaly Detection with Outlier Exposure,
        arXiv 1812.04606, section 4.
    """
    _check(novel, known)
    if not 0 < recall <= 1:
        raise ValueError(f"recall must be above 0 and at most 1 (got {recall})")
    # Counts are compared as shares: recall * a, rounded, may be just above a whole number.
    shares = np.arange(1, len(novel) + 1) / len(novel)
    threshold = np.sort(novel)[::-1][np.searchsorted(shares, recall)]
    return float((known >= threshold).mean())


def delong_test(
    novel_a: np.ndarray,
    known_a: np.ndarray,
    novel_b: np.ndarray,
    known_b: np.ndarray,
    confidence: float = 0.95,
) -> dict[str, float | None]:
    r"""How much greater the AUROC of score A is than that of B on the same items, and its p-value.

    With $V(x)$ the share of known items that a novel x exceeds and $V(y)$ the share of novel items
    that exceed a known y (ties count half), $\Delta$ A's less B's and $s^2$ the sample variance,
    the difference is normal about its mean, with variance $s^2(\Delta V(x)) / a + s^2(\Delta V(y))
    / b$. This holds for many items; the interval is not cut at -1 and 1.

    Args:
        novel_a: scores A of the novel items, `(a,)`.
        known_a: scores A of the known items, `(b,)`.
        novel_b: scores B of the same novel items, in the same order.
        known_b: scores B of the same known items, in the same order.
        confidence: probability that the interval is to cover.

    Returns:
        difference, low, high and the two-sided p_value. Where no item's share varies, as where both
        scores are perfect, the interval is a point, and p is 1 for no difference and 0, the limit,
        for any other. One item of a kind tells no variance: low, high and p_value are None.

    Raises:
        ValueError: if A and B have different numbers of scores, there is none of either kind, or
            one is not a number.

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
    margin = stats.norm.isf((1 - confidence) / 2) * error
    limit = np.inf if difference else 0.0
    deviation = abs(difference) / error if error else limit
    return {
        "difference": difference,
        "low": float(difference - margin),
        "high": float(difference + margin),
        "p_value": float(2 * stats.norm.sf(deviation)),
    }


def _placements(novel: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share of pairs that each item has the right way round, ties as half; `(a,)` and `(b,)`.

    An item's rank among all scores, less its rank among those of its kind, counts the scores of
    the other kind below it (Sun & Xu 2014).
    """
    _check(novel, known)
    ranks = stats.rankdata(np.concatenate([novel, known]))
    n_novel = len(novel)
    below_novel = ranks[:n_novel] - stats.rankdata(novel)
    below_known = ranks[n_novel:] - stats.rankdata(known)
    return below_novel / len(known), 1 - below_known / n_novel


def _check(novel: np.ndarray, known: np.ndarray) -> None:
    if not len(novel) or not len(known):
        raise ValueError("there must be at least one novel and one known item")
    if np.isnan(novel).any() or np.isnan(known).any():
        raise ValueError("scores must be numbers")
