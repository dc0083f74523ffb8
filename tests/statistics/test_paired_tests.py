import tracemalloc
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from embedlab.statistics.paired_tests import paired_randomisation_test


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


@pytest.mark.parametrize(("n_items", "max_permutations"), [(20, 2**20), (20_000, 1000)])
def test_memory_is_a_fixed_block(
    n_items: int, max_permutations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedlab.statistics.intervals.BLOCK_SIZE", 2**17)
    differences = np.random.default_rng(2).normal(size=n_items)
    assert peak_mebibytes(lambda: paired_randomisation_test(differences, max_permutations, 0)) < 8


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
