import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from embedlab.errors import InputError
from embedlab.retrieval.isotropy import (
    effective_rank,
    isoscore,
    isotropy,
    mean_cosine,
    normalised_spectrum,
    partition_isotropy,
    standardised_sigreg,
)

MEASURES = ("mean_cosine", "partition_isotropy", "isoscore", "effective_rank", "sigreg")


def gaussian(num_vectors: int, dimension: int, seed: int = 0) -> np.ndarray:
    """Vectors of norm about 1 from an isotropic Gaussian."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((num_vectors, dimension)) / dimension**0.5
    return points.astype(np.float32)


def stretched(points: np.ndarray, shares: np.ndarray, seed: int = 1) -> np.ndarray:
    """Stretch each axis by the root of its share, then turn all at random."""
    dimension = points.shape[1]
    noise = np.random.default_rng(seed).standard_normal((dimension, dimension))
    turn = np.linalg.qr(noise)[0]
    return (points * np.sqrt(shares) @ turn).astype(np.float32)


def spectrum_of(points: np.ndarray) -> np.ndarray:
    return normalised_spectrum(np.cov(points.T.astype(np.float64)))


# --- each measure against its definition ---------------------------------------------------------


def isoscore_by_steps(points: np.ndarray) -> float:
    """Algorithm 1 of Rudman et al. 2022 as it is written, from the points."""
    exact = points.astype(np.float64)
    turned = PCA().fit_transform(exact)
    dimension = exact.shape[1]
    variances = np.diag(np.cov(turned.T))
    scaled = np.sqrt(dimension) * variances / np.linalg.norm(variances)
    worst = np.sqrt(2 * (dimension - np.sqrt(dimension)))
    defect = np.linalg.norm(scaled - np.ones(dimension)) / worst
    share = (dimension - defect**2 * (dimension - np.sqrt(dimension))) ** 2 / dimension**2
    return float((dimension * share - 1) / (dimension - 1))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.floats(0, 4), st.integers(0, 1000))
def test_isoscore_is_that_of_the_papers_steps(dimension: int, decay: float, seed: int) -> None:
    shares = np.arange(1, dimension + 1) ** -decay
    points = stretched(gaussian(60, dimension, seed), shares, seed)
    assert isoscore(spectrum_of(points)) == pytest.approx(isoscore_by_steps(points), abs=1e-9)


def test_isoscore_of_known_spectra() -> None:
    # The paper's own reading: k of d dimensions used evenly score (k - 1) / (d - 1).
    for used in (1, 2, 7, 10):
        assert isoscore(np.repeat([1.0, 0.0], [used, 10 - used])) == pytest.approx((used - 1) / 9)
    assert isoscore(spectrum_of(gaussian(20_000, 16))) == pytest.approx(1, abs=0.01)
    assert isoscore(spectrum_of(gaussian(100, 50))) == pytest.approx(2 / 3, abs=0.02)
    dominated = stretched(gaussian(5000, 16), np.array([1e4] + [1.0] * 15))
    assert isoscore(spectrum_of(dominated)) < 0.01


def test_effective_rank_counts_the_dimensions_in_use() -> None:
    for used in (1, 3, 8):
        spectrum = np.repeat([1 / used, 0.0], [used, 8 - used])
        assert effective_rank(spectrum) == pytest.approx(used / 8)
    # Of two unequal shares, by hand: exp(-(0.9 log 0.9 + 0.1 log 0.1)) / 2.
    assert effective_rank(np.array([0.9, 0.1])) == pytest.approx(0.9**-0.9 * 0.1**-0.1 / 2)


def test_mean_cosine_is_that_of_all_pairs_of_different_rows() -> None:
    points = gaussian(40, 6) + 0.3
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    cosines = (units @ units.T)[~np.eye(40, dtype=bool)]
    assert mean_cosine(points) == pytest.approx(cosines.mean(), abs=1e-6)
    assert mean_cosine(np.array([[1, 0], [0, 2], [0, 0]])) == 0  # a null vector counts as 0
    assert mean_cosine(np.array([[3, 0], [1, 0]])) == pytest.approx(1)


def test_partition_isotropy_is_the_ratio_of_the_papers_sums() -> None:
    points = gaussian(50, 5) * np.array([3, 1, 1, 1, 0.5]) + 0.2
    scaled = points / np.sqrt(np.mean(np.linalg.norm(points, axis=1) ** 2))
    _, axes = np.linalg.eigh(scaled.T @ scaled)
    sums = [sum(np.exp(sign * axis @ row) for row in scaled) for axis in axes.T for sign in (1, -1)]
    assert partition_isotropy(points) == pytest.approx(min(sums) / max(sums), rel=1e-5)


def test_partition_isotropy_of_points_on_the_axes() -> None:
    # Each c meets one point of its axis at 1, one at -1 and others at 0: all Z are equal.
    axes = np.eye(4)
    assert partition_isotropy(np.concatenate([axes, -axes])) == pytest.approx(1)
    # One line to one side: Z is e along it, 1 / e against it.
    assert partition_isotropy(np.repeat(axes[:1], 3, axis=0)) == pytest.approx(np.exp(-2))


def test_a_vector_far_from_the_rest_does_not_overflow() -> None:
    points = gaussian(30_000, 3) * 1e-6
    points[7] = 1e30
    assert 0 <= partition_isotropy(points) <= 1


def test_sigreg_tells_what_is_not_gaussian_and_forgives_scale_and_place() -> None:
    points = gaussian(2000, 8)
    even = standardised_sigreg(points, seed=0)
    assert even < 2
    moved = points * np.arange(1, 9, dtype=np.float32) + 5
    assert standardised_sigreg(moved, seed=0) == pytest.approx(even, rel=0.01)
    correlated = stretched(points, np.array([9, 1, 1, 1, 1, 1, 1, 1.0]))
    clustered = points + np.where(np.arange(2000) % 2, 1, -1)[:, None].astype(np.float32)
    for faulty in (correlated, clustered):
        assert standardised_sigreg(faulty, seed=0) > 5 * even


# --- all together --------------------------------------------------------------------------------


def test_isotropic_vectors_score_best_in_every_measure() -> None:
    points = gaussian(4000, 16)
    decay = stretched(points, np.exp(-np.arange(16) / 3))
    even, shifted, unequal = (isotropy(p, 4000, 0) for p in (points, points + 0.2, decay))
    assert even["mean_cosine"] == pytest.approx(0, abs=0.01)
    assert even["partition_isotropy"] > 0.9
    assert even["isoscore"] > 0.95
    assert even["effective_rank"] > 0.95
    assert shifted["mean_cosine"] > 0.35 > shifted["partition_isotropy"]
    assert shifted["isoscore"] == pytest.approx(even["isoscore"], rel=1e-4)
    assert unequal["isoscore"] < unequal["effective_rank"] < 0.6
    assert unequal["sigreg"] > 10 * even["sigreg"]


@pytest.mark.parametrize("factor", [1e-3, 50])
def test_no_measure_depends_on_the_scale(factor: float) -> None:
    points = stretched(gaussian(500, 8), np.arange(1, 9)) + 0.1
    report, scaled = (isotropy(p, 500, 0) for p in (points, np.float32(factor) * points))
    for name in MEASURES:
        assert scaled[name] == pytest.approx(report[name], rel=1e-3), name
    np.testing.assert_allclose(scaled["spectrum"], report["spectrum"], rtol=1e-4)
    assert scaled["norm"]["mean"] == pytest.approx(factor * report["norm"]["mean"])


def test_spectrum_and_norms_are_of_all_vectors_though_the_rest_is_sampled(tmp_path: Path) -> None:
    points = stretched(gaussian(3000, 6), np.arange(1, 7)) + 1
    np.save(tmp_path / "vectors.npy", points)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    report = isotropy(mapped, 200, seed=3)
    assert (report["n"], report["n_sampled"], report["dimension"]) == (3000, 200, 6)
    variances = PCA().fit(points.astype(np.float64)).explained_variance_ratio_
    np.testing.assert_allclose(report["spectrum"], variances, rtol=1e-6)
    norms = np.linalg.norm(points, axis=1)
    assert report["norm"]["max"] == pytest.approx(norms.max())
    assert report["norm"]["p25"] == pytest.approx(np.percentile(norms, 25))
    assert isotropy(points, 200, seed=3) == report
    other = isotropy(points, 200, seed=4)
    assert other["spectrum"] == report["spectrum"]
    assert all(other[name] != report[name] for name in ("mean_cosine", "sigreg"))


def test_covariance_of_many_blocks_is_that_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    points = stretched(gaussian(100, 6), np.arange(1, 7)) + 3
    whole = isotropy(points, 100, 0)
    monkeypatch.setattr("embedlab.statistics.intervals.BLOCK_SIZE", 42)
    cut = isotropy(points, 100, 0)
    np.testing.assert_allclose(cut["spectrum"], whole["spectrum"], rtol=1e-9)
    assert cut["norm"] == whole["norm"]


# --- odd vectors ---------------------------------------------------------------------------------

POINTS = gaussian(30, 8)
ODD = {
    "all the same": np.repeat(POINTS[:1], 5, axis=0),
    "all null": np.zeros((5, 8), np.float32),
    "one null": np.concatenate([POINTS, np.zeros((1, 8), np.float32)]),
    "constant dimensions": POINTS * np.repeat([1, 0], 4).astype(np.float32) + 2,
    "fewer than dimensions": POINTS[:3],
    "two": POINTS[:2],
    "on a line": np.outer(np.arange(1, 9), POINTS[0]).astype(np.float32),
    "in two halves": np.concatenate([POINTS, -POINTS]),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_vectors_give_finite_numbers_within_range(case: str) -> None:
    with np.errstate(divide="raise", invalid="raise"):
        report = isotropy(ODD[case], 1000, seed=0)
    json.dumps(report, allow_nan=False)
    assert -1 <= report["mean_cosine"] <= 1 + 1e-9
    for name in ("partition_isotropy", "isoscore", "effective_rank"):
        assert 0 <= report[name] <= 1 + 1e-9, name
    assert sum(report["spectrum"]) == pytest.approx(0 if case.startswith("all") else 1)
    assert sorted(report["spectrum"], reverse=True) == report["spectrum"]


def test_a_collapsed_model_is_not_isotropic() -> None:
    report = isotropy(ODD["all the same"], 1000, seed=0)
    assert (report["isoscore"], report["effective_rank"]) == (0, 0)
    assert report["mean_cosine"] == pytest.approx(1)
    assert report["partition_isotropy"] == pytest.approx(np.exp(-2))


def test_components_that_do_not_vary_have_no_share_of_the_spectrum() -> None:
    report = isotropy(ODD["constant dimensions"], 1000, seed=0)
    assert report["spectrum"][4:] == [0, 0, 0, 0]
    assert report["effective_rank"] <= 0.5
    assert isotropy(ODD["fewer than dimensions"], 1000, 0)["spectrum"][2:] == [0] * 6


def test_too_few_or_faulty_vectors_are_refused_in_one_line() -> None:
    faulty = POINTS.copy()
    faulty[17, 3] = np.nan
    for points, message in [
        (POINTS[:1], "at least 2 vectors of 2 dimensions \\(got 1 of 8\\)"),
        (POINTS[:, :1], "got 30 of 1"),
        (faulty, "row 17 of the vectors is not finite"),
    ]:
        with pytest.raises(InputError, match=message):
            isotropy(points, 1000, seed=0)
