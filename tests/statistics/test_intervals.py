import numpy as np
import pytest
import scipy.stats

from embedlab.statistics.intervals import (
    Interval,
    mean_interval,
    mean_intervals,
    ratio_interval,
    seed_interval,
    stratified_mean_intervals,
)


def coverage(intervals: list[Interval], truth: float) -> float:
    """The share of the intervals that hold the truth."""
    _, low, high = np.transpose(intervals)
    return float(np.mean((low <= truth) & (high >= truth)))


# --- the value -----------------------------------------------------------------------------------


def test_an_interval_is_read_from_a_report_and_written_in_points() -> None:
    interval = Interval.of({"mean": 0.541, "low": 0.518, "high": 0.5633, "n_pairs": 3})
    assert interval == Interval(0.541, 0.518, 0.5633)
    assert interval.in_points() == "54.1 [51.8, 56.3]"
    assert Interval(0.5, None, None).in_points() == "50.0 [-, -]"


def test_ends_are_clipped_and_unknown_ends_stay_unknown() -> None:
    assert Interval(0.9, -0.1, 1.2).clipped(0, 1) == Interval(0.9, 0, 1)
    assert Interval(0.9, None, None).clipped(0, 1) == Interval(0.9, None, None)


# --- means ---------------------------------------------------------------------------------------


def test_intervals_cover_the_true_mean_about_as_often_as_they_say() -> None:
    samples = np.random.default_rng(1).exponential(size=(60, 400))
    assert 0.88 < coverage(mean_intervals(samples, num_resamples=400, seed=0), 1.0) < 0.98


def test_interval_depends_on_the_seed_alone_and_columns_share_resamples() -> None:
    values = np.random.default_rng(2).random((40, 3))
    intervals = mean_intervals(values, 100, seed=7)
    assert intervals == mean_intervals(values, 100, seed=7)
    assert intervals != mean_intervals(values, 100, seed=8)
    for column, interval in zip(values.T, intervals, strict=True):
        assert mean_interval(column, 100, seed=7) == pytest.approx(interval)


def test_interval_of_one_item_is_its_value() -> None:
    assert mean_interval(np.array([0.3]), 50, seed=0) == (0.3, 0.3, 0.3)


def test_resampling_in_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).random((30, 2))
    whole = mean_intervals(values, 101, seed=0)
    monkeypatch.setattr("embedlab.statistics.intervals.BLOCK_SIZE", 30 * 7)
    np.testing.assert_allclose(mean_intervals(values, 101, seed=0), whole)


def test_one_stratum_is_the_plain_interval() -> None:
    values = np.random.default_rng(2).random((40, 2))
    plain = mean_intervals(values, 300, seed=5)
    np.testing.assert_allclose(stratified_mean_intervals([values], [1.0], 300, seed=5), plain)


# --- ratios --------------------------------------------------------------------------------------


def pairs_by_prefix(seed: int, num_prefixes: int) -> tuple[np.ndarray, np.ndarray]:
    """Correct pairs and pairs of each prefix; some prefixes are much easier than others."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(1, 9, num_prefixes)
    return rng.binomial(pairs, rng.beta(0.7, 0.3, num_prefixes)), pairs


def test_ratio_of_means_is_the_accuracy_over_all_pairs() -> None:
    correct, pairs = pairs_by_prefix(0, 50)
    ratio, low, high = ratio_interval(correct, pairs, 200, seed=0)
    assert ratio == correct.sum() / pairs.sum()
    assert low < ratio < high


def test_a_ratio_interval_depends_on_the_seed_alone() -> None:
    table = pairs_by_prefix(4, 30)
    assert ratio_interval(*table, 100, seed=7) == ratio_interval(*table, 100, seed=7)
    assert ratio_interval(*table, 100, seed=7) != ratio_interval(*table, 100, seed=8)


def test_clusters_of_one_size_give_the_interval_of_their_mean() -> None:
    correct, _ = pairs_by_prefix(1, 40)
    ratio = ratio_interval(correct, np.full(40, 8), 300, seed=3)
    np.testing.assert_allclose(ratio, mean_interval(correct / 8, 300, seed=3))


def test_ratio_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    tables = [pairs_by_prefix(seed, 80) for seed in range(400)]
    intervals = [ratio_interval(*table, 200, seed=0) for table in tables]
    assert 0.9 < coverage(intervals, 0.7) < 0.98


def test_pairs_resampled_one_by_one_would_seem_too_certain() -> None:
    correct, pairs = pairs_by_prefix(3, 60)
    each = np.concatenate([np.arange(n) < k for k, n in zip(correct, pairs, strict=True)])
    _, low, high = ratio_interval(correct, pairs, 400, seed=0)
    _, pair_low, pair_high = mean_interval(each.astype(float), 400, seed=0)
    assert high - low > 1.2 * (pair_high - pair_low)


def test_resamples_without_any_pair_are_left_out() -> None:
    # A third of the resamples of three clusters miss the only one that has pairs.
    ends = ratio_interval(np.array([3, 0, 0]), np.array([4, 0, 0]), 100, seed=0)
    assert ends == (0.75, 0.75, 0.75)


def test_one_cluster_gives_a_ratio_without_ends() -> None:
    assert ratio_interval(np.array([3]), np.array([4]), 100, seed=0) == Interval(0.75, None, None)


def test_a_ratio_to_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="positive sum"):
        ratio_interval(np.ones(4), np.zeros(4), 10, seed=0)


# --- means over seeds ----------------------------------------------------------------------------


def test_seed_interval_is_that_of_student() -> None:
    values = [0.81, 0.84, 0.79, 0.86, 0.80]
    spread = np.std(values, ddof=1) / 5**0.5
    expected = scipy.stats.t(4, np.mean(values), spread).interval(0.95)
    assert seed_interval(values) == pytest.approx((0.82, *expected))
    # Two values, by hand: t of one degree of freedom is tan(0.95 pi / 2) at 95 %.
    assert seed_interval([1.0, 3.0]).high == pytest.approx(2 + np.tan(0.475 * np.pi))


def test_seed_intervals_cover_the_truth_as_often_as_they_say() -> None:
    draws = np.random.default_rng(3).normal(0.7, 0.1, (1000, 3))
    intervals = [seed_interval(draw) for draw in draws]
    assert coverage(intervals, 0.7) == pytest.approx(0.95, abs=0.02)


def test_one_seed_gives_a_mean_without_ends() -> None:
    assert seed_interval([0.8]) == Interval(0.8, None, None)


def test_no_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one seed"):
        seed_interval([])
