from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from embedlab.statistics.detection import auroc, delong_test, false_positive_rate

# Few distinct scores, so that most are tied with another.
SCORES = st.lists(st.integers(-2, 3), min_size=1, max_size=25).map(np.array)


def labelled(novel: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores as scikit-learn takes them."""
    return np.repeat([1, 0], [len(novel), len(known)]), np.concatenate([novel, known])


def two_scores(n_items: int, shift: tuple[float, float], seed: int) -> tuple[np.ndarray, ...]:
    """Scores A and B of novel and known items that agree in part, as two detectors do."""
    rng = np.random.default_rng(seed)
    novel, known = (rng.normal(size=n_items) + rng.normal(size=(2, n_items)) for _ in range(2))
    return novel[0] + shift[0], known[0], novel[1] + shift[1], known[1]


# --- AUROC and FPR at a recall -------------------------------------------------------------------


@given(SCORES, SCORES)
def test_auroc_is_that_of_scikit_learn_and_counts_pairs(
    novel: np.ndarray, known: np.ndarray
) -> None:
    pairs = np.sign(novel[:, None] - known) / 2 + 0.5
    assert auroc(novel, known) == pytest.approx(pairs.mean())
    assert auroc(novel, known) == pytest.approx(roc_auc_score(*labelled(novel, known)))


@given(SCORES, SCORES, st.sampled_from([0.05, 0.07, 0.5, 0.9, 0.95, 1.0]))
def test_false_positive_rate_is_on_the_curve_of_scikit_learn(
    novel: np.ndarray, known: np.ndarray, recall: float
) -> None:
    false_positives, recalls, _ = roc_curve(*labelled(novel, known), drop_intermediate=False)
    expected = false_positives[recalls >= recall][0]
    assert false_positive_rate(novel, known, recall) == pytest.approx(expected)


def test_a_recall_that_is_a_whole_number_of_items_is_not_rounded_up() -> None:
    # 0.07 * 100 is 7.000000000000001 in floating point.
    novel, known = np.arange(100.0), np.array([92.5, 93.5, 0.0, 0.0])
    assert false_positive_rate(novel, known, recall=0.07) == 0.25


def test_scores_that_tell_all_and_scores_that_tell_nothing() -> None:
    low, high = np.zeros(5), np.ones(8)
    assert (auroc(high, low), false_positive_rate(high, low)) == (1, 0)
    assert (auroc(low, high), false_positive_rate(low, high)) == (0, 1)
    assert (auroc(low, low), false_positive_rate(low, low)) == (0.5, 1)


def test_only_the_order_of_scores_counts() -> None:
    novel, known, *_ = two_scores(40, (1.0, 0.0), seed=0)
    for measure in (auroc, false_positive_rate):
        assert measure(np.exp(novel), np.exp(known)) == measure(novel, known)
        infinite, huge = (np.where(novel > 1, top, novel) for top in (np.inf, 1e9))
        assert measure(infinite, known) == measure(huge, known)


def test_many_items_are_no_matter_of_pairs() -> None:
    rng = np.random.default_rng(4)
    novel, known = rng.normal(1, 1, 300_000), rng.normal(0, 1, 300_000)
    assert auroc(novel, known) == pytest.approx(scipy.stats.norm.cdf(0.5**0.5), abs=0.003)
    expected = scipy.stats.norm.sf(scipy.stats.norm.ppf(0.05, loc=1))
    assert false_positive_rate(novel, known) == pytest.approx(expected, abs=0.005)


# --- the test of two scores ----------------------------------------------------------------------


def test_delong_by_hand() -> None:
    # A orders 5 of the 6 pairs, B 3: shares of the novel (1, 1, 1/2) less (1/2, 1/2, 1/2), of the
    # known (1, 2/3) less (1, 0).
    result = delong_test(
        np.array([5, 4, 2]), np.array([1, 3]), np.array([5, 6, 7]), np.array([1, 9])
    )
    variance = (1 / 12) / 3 + (2 / 9) / 2
    assert result["difference"] == pytest.approx(1 / 3)
    assert result["high"] == pytest.approx(1 / 3 + 1.959964 * variance**0.5)
    assert result["low"] == pytest.approx(1 / 3 - 1.959964 * variance**0.5)
    assert result["p_value"] == pytest.approx(0.3711, abs=1e-4)


@settings(deadline=None)
@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 10_000))
def test_delong_by_ranks_is_that_by_pairs(n_novel: int, n_known: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    novel, known = rng.integers(0, 6, (2, n_novel)), rng.integers(0, 5, (2, n_known))
    wins = np.sign(novel[:, :, None] - known[:, None]) / 2 + 0.5  # (score, novel, known)
    change = wins[0] - wins[1]
    variance = sum(change.mean(axis=a).var(ddof=1) / change.shape[1 - a] for a in (0, 1))
    result = delong_test(novel[0], known[0], novel[1], known[1])
    assert result["difference"] == pytest.approx(change.mean())
    assert result["high"] - result["low"] == pytest.approx(2 * 1.959964 * variance**0.5)


def test_p_values_are_uniform_where_the_scores_are_equally_good() -> None:
    p = [delong_test(*two_scores(60, (0.7, 0.7), seed))["p_value"] for seed in range(800)]
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.01


def test_a_difference_is_found_and_its_sign_is_that_of_the_first() -> None:
    novel_a, known_a, novel_b, known_b = two_scores(300, (2.0, 1.0), seed=1)
    result = delong_test(novel_a, known_a, novel_b, known_b)
    expected = auroc(novel_a, known_a) - auroc(novel_b, known_b)
    assert result["difference"] == pytest.approx(expected)
    assert 0 < result["low"] < expected < result["high"]
    assert result["p_value"] < 1e-4
    swapped = delong_test(novel_b, known_b, novel_a, known_a)
    assert swapped["difference"] == pytest.approx(-expected)
    assert swapped["p_value"] == pytest.approx(result["p_value"])


def test_the_interval_is_about_that_of_a_bootstrap_of_both_kinds_of_items() -> None:
    scores = two_scores(150, (1.2, 0.9), seed=2)
    rng = np.random.default_rng(0)
    draws = rng.integers(0, 150, (1000, 2, 150))
    differences = [
        auroc(scores[0][n], scores[1][k]) - auroc(scores[2][n], scores[3][k]) for n, k in draws
    ]
    result = delong_test(*scores)
    width = result["high"] - result["low"]
    ends = np.quantile(differences, [0.025, 0.975])
    np.testing.assert_allclose([result["low"], result["high"]], ends, atol=0.1 * width)


def test_scores_without_variance() -> None:
    novel, known = np.ones(6), np.zeros(4)
    both_perfect = delong_test(novel, known, 2 * novel, known)
    one_perfect = delong_test(novel, known, 0 * novel, known)
    assert tuple(both_perfect.values()) == (0, 0, 0, 1)
    assert tuple(one_perfect.values()) == (0.5, 0.5, 0.5, 0)


def test_one_item_of_a_kind_tells_a_difference_only() -> None:
    result = delong_test(np.ones(1), np.arange(4), np.zeros(1), np.arange(4))
    assert result == {"difference": 0.25, "low": None, "high": None, "p_value": None}


# --- what is refused -----------------------------------------------------------------------------

SOME, NONE, FAULTY = np.ones(3), np.ones(0), np.array([1, np.nan])


@pytest.mark.parametrize("measure", [auroc, false_positive_rate])
@pytest.mark.parametrize(
    ("scores", "message"), [(NONE, "at least one novel and one known"), (FAULTY, "be numbers")]
)
def test_no_scores_and_no_numbers_are_refused(
    measure: Callable[..., float], scores: np.ndarray, message: str
) -> None:
    for novel, known in [(scores, SOME), (SOME, scores)]:
        with pytest.raises(ValueError, match=message):
            measure(novel, known)


def test_other_misuse_is_refused() -> None:
    for recall in (0.0, 1.01):
        with pytest.raises(ValueError, match="recall must be above 0"):
            false_positive_rate(SOME, SOME, recall)
    with pytest.raises(ValueError, match="same items"):
        delong_test(SOME, SOME, SOME, np.ones(2))
