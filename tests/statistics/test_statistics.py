import tracemalloc
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from embedlab.statistics.intervals import mean_interval, ratio_interval
from embedlab.statistics.paired_tests import paired_randomisation_test

# --- intervals of ratios -------------------------------------------------------------------------


def pairs_by_prefix(seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Correct pairs and pairs of each prefix; some prefixes are much easier than others."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(1, 9, shape)
    return rng.binomial(pairs, rng.beta(0.7, 0.3, shape)), pairs


def test_ratio_of_means_is_the_accuracy_over_all_pairs() -> None:
    correct, pairs = pairs_by_prefix(0, (50,))
    ratio, low, high = ratio_interval(correct, pairs, 200, seed=0)
    assert ratio == correct.sum() / pairs.sum()
    assert low < ratio < high


def test_clusters_of_one_size_give_the_interval_of_their_mean() -> None:
    correct, _ = pairs_by_prefix(1, (40,))
    ratio = ratio_interval(correct, np.full(40, 8), 300, seed=3)
    np.testing.assert_allclose(ratio, mean_interval(correct / 8, 300, seed=3))


def test_ratio_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    correct, pairs = pairs_by_prefix(2, (80, 400))
    _, low, high = ratio_interval(correct, pairs, 400, seed=0)
    assert 0.9 < np.mean((low <= 0.7) & (high >= 0.7)) < 0.98


def test_pairs_resampled_one_by_one_would_seem_too_certain() -> None:
    correct, pairs = pairs_by_prefix(3, (60,))
    each = np.concatenate([np.arange(n) < k for k, n in zip(correct, pairs, strict=True)])
    _, low, high = ratio_interval(correct, pairs, 400, seed=0)
    _, pair_low, pair_high = mean_interval(each.astype(float), 400, seed=0)
    assert high - low > 1.2 * (pair_high - pair_low)


def test_ratios_in_columns_share_the_resamples() -> None:
    correct, pairs = pairs_by_prefix(4, (30, 3))
    together = np.array(ratio_interval(correct, pairs, 100, seed=7))
    np.testing.assert_array_equal(together, ratio_interval(correct, pairs, 100, seed=7))
    assert not np.array_equal(together, ratio_interval(correct, pairs, 100, seed=8))
    for column in range(3):
        alone = ratio_interval(correct[:, column], pairs[:, column], 100, seed=7)
        np.testing.assert_allclose(alone, together[:, column])


def test_resamples_without_any_pair_are_left_out() -> None:
    # A third of the resamples of three clusters miss the only one that has pairs.
    ends = ratio_interval(np.array([3, 0, 0]), np.array([4, 0, 0]), 100, seed=0)
    assert [float(end) for end in ends] == [0.75] * 3


def test_a_ratio_to_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="positive sum"):
        ratio_interval(np.zeros((4, 2)), np.array([[1, 0]] * 4), 10, seed=0)


# --- the randomisation test ----------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-128, 128), min_size=2, max_size=8))
def test_exact_p_is_that_of_scipy(whole: list[int]) -> None:
    differences = np.array(whole) / 64
    ours = paired_randomisation_test(differences, 256, seed=0)
    theirs = scipy.stats.permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert ours == pytest.approx(theirs.pvalue)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9), st.sampled_from([1.0, 0.1, 1 / 3]))
def test_exact_p_counts_the_sign_patterns(whole: list[int], unit: float) -> None:
    """Sums of tenths tie only up to rounding, those of whole numbers exactly."""
    sums = [abs(np.dot(signs, whole)) for signs in product([1, -1], repeat=len(whole))]
    p = np.mean(np.array(sums) >= abs(sum(whole)))
    assert paired_randomisation_test(unit * np.array(whole), 512, seed=0) == p


def test_random_patterns_come_near_the_exact_p() -> None:
    differences = np.random.default_rng(0).normal(0.4, 1, 16)
    exact = paired_randomisation_test(differences, 2**16, seed=0)
    for seed in range(5):
        near = paired_randomisation_test(differences, 2**16 - 1, seed)
        # Five standard errors of the share of 65,535 draws.
        assert near == pytest.approx(exact, abs=5 * (exact * (1 - exact) / 2**16) ** 0.5)
        assert near == paired_randomisation_test(differences, 2**16 - 1, seed)


def test_p_is_never_zero_and_one_without_a_difference() -> None:
    assert paired_randomisation_test(np.ones(1000), 99, seed=0) == 1 / 100
    assert paired_randomisation_test(np.ones(5), 32, seed=0) == 2 / 32
    for n_items in (3, 300):
        assert paired_randomisation_test(np.zeros(n_items), 99, seed=0) == 1.0


def test_p_values_are_uniform_where_the_systems_are_alike() -> None:
    draws = np.random.default_rng(1).standard_t(3, (400, 25))
    p = [paired_randomisation_test(row, 199, seed) for seed, row in enumerate(draws)]
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize(("n_items", "n_permutations"), [(20, 2**20), (20_000, 1000)])
def test_memory_is_a_fixed_block(
    n_items: int, n_permutations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedlab.statistics.intervals.BLOCK_SIZE", 2**17)
    differences = np.random.default_rng(2).normal(size=n_items)
    assert peak_mebibytes(lambda: paired_randomisation_test(differences, n_permutations, 0)) < 8


def test_a_difference_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        paired_randomisation_test(np.array([0.1, np.nan]), 100, seed=0)


def peak_mebibytes(function: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
