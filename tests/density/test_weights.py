import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedlab.density.sampler import density_sampler, sample_ids
from embedlab.density.weights import (
    Estimator,
    WeightMode,
    check_density,
    density_quintiles,
    density_weights,
    describe_density,
    loss_weights,
)
from embedlab.errors import InputError
from embedlab.search.neighbours import nearest_neighbours
from embedlab.text_table import as_ids

ESTIMATORS = ("mean_distance", "kth_distance")
DISTANCES = arrays(
    np.float32,
    st.tuples(st.integers(1, 50), st.integers(1, 8)),
    elements=st.just(0.0) | st.floats(2**-10, 1000, width=32),
)
WEIGHTS = arrays(np.float32, st.integers(1, 60), elements=st.floats(2**-6, 64, width=32))


@settings(deadline=None)
@given(
    n_crowd=st.integers(10, 60),
    n_outliers=st.integers(1, 5),
    dimension=st.integers(2, 20),
    estimator=st.sampled_from(ESTIMATORS),
    seed=st.integers(0, 1000),
)
def test_outliers_outweigh_a_tight_cluster(
    n_crowd: int, n_outliers: int, dimension: int, estimator: Estimator, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    crowd = 0.01 * rng.standard_normal((n_crowd, dimension))
    directions = rng.standard_normal((n_outliers, dimension))
    outliers = 10 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    vectors = np.concatenate([crowd, outliers]).astype(np.float32)
    distances, _ = nearest_neighbours(vectors, 6)
    weights = density_weights(distances, estimator)
    assert weights[n_crowd:].min() > weights[:n_crowd].max()
    assert set(np.argsort(weights)[-n_outliers:]) == set(range(n_crowd, n_crowd + n_outliers))


@given(DISTANCES, st.sampled_from(ESTIMATORS))
def test_weights_are_positive_of_mean_one_and_grow_with_the_distance(
    distances: np.ndarray, estimator: Estimator
) -> None:
    distances = np.sort(distances, axis=1)
    weights = density_weights(distances, estimator)
    assert weights.dtype == np.float32
    assert (weights > 0).all()
    assert weights.mean(dtype=np.float64) == pytest.approx(1, rel=1e-5)
    exact = distances.astype(np.float64)
    radii = exact.mean(axis=1) if estimator == "mean_distance" else exact[:, -1]
    assert (np.diff(weights[np.argsort(radii)]) >= 0).all()


def test_estimators_are_the_mean_and_the_last_distance() -> None:
    distances = np.array([[0, 2], [2, 4]], dtype=np.float32)
    assert density_weights(distances, "mean_distance").tolist() == [0.5, 1.5]
    assert density_weights(distances, "kth_distance") == pytest.approx([2 / 3, 4 / 3])


def test_the_exponent_is_a_power_of_the_distance() -> None:
    weights = density_weights(np.array([[1.0], [2], [4]], np.float32), "mean_distance", 3)
    assert weights / weights[0] == pytest.approx([1, 8, 64])
    assert weights.mean() == pytest.approx(1)
    steep = density_weights(np.array([[1e-6], [1]], np.float32), "mean_distance", 12)
    assert steep.min() > 0


def test_duplicates_weigh_as_much_as_the_least_rare_item_that_has_a_distance() -> None:
    distances = np.array([[0, 0], [0, 0], [1, 1], [4, 4]], dtype=np.float32)
    np.testing.assert_allclose(
        density_weights(distances, "mean_distance"), np.array([4, 4, 4, 16]) / 7
    )
    noise = np.array([[0, 0], [0, 1e-14], [1, 1], [4, 4]], dtype=np.float32)
    np.testing.assert_allclose(
        density_weights(noise, "mean_distance"), np.array([4, 4, 4, 16]) / 7, rtol=1e-6
    )
    all_same = density_weights(np.zeros((3, 2), dtype=np.float32), "mean_distance")
    assert all_same.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("none", [1, 1, 1]),
        ("linear", [1 / 7, 4 / 7, 16 / 7]),
        ("sqrt", [3 / 7, 6 / 7, 12 / 7]),
        ("log", np.log([2, 5, 17]) / np.log([2, 5, 17]).mean()),
    ],
)
def test_loss_weights_by_mode(mode: WeightMode, expected: list[float]) -> None:
    weights = np.array([1, 4, 16], dtype=np.float32)
    np.testing.assert_allclose(loss_weights(weights, mode, None), expected, rtol=1e-6)
    np.testing.assert_allclose(
        loss_weights(weights, mode, 1.5), np.minimum(expected, 1.5), rtol=1e-6
    )


@given(WEIGHTS, st.sampled_from(["none", "linear", "sqrt", "log"]), st.floats(0.5, 5))
def test_loss_weights_have_mean_one_then_a_cap(
    weights: np.ndarray, mode: WeightMode, cap: float
) -> None:
    free, capped = loss_weights(weights, mode, None), loss_weights(weights, mode, cap)
    assert free.dtype == capped.dtype == np.float32
    assert free.mean(dtype=np.float64) == pytest.approx(1, rel=1e-5)
    np.testing.assert_array_equal(capped, np.minimum(free, np.float32(cap)))


@given(WEIGHTS)
def test_probabilities_sum_to_one_in_proportion(weights: np.ndarray) -> None:
    sampler = density_sampler(weights, 1, replacement=True, seed=0)
    probabilities = sampler.weights.numpy()
    assert probabilities.dtype == np.float64
    assert probabilities.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(probabilities * weights[0], weights * probabilities[0], rtol=1e-12)


@given(arrays(np.float32, st.integers(1, 60), elements=st.floats(2**-6, 64, width=32), unique=True))
def test_quintiles_are_equal_in_size_and_ordered(weights: np.ndarray) -> None:
    quintiles = density_quintiles(weights)
    sizes = np.bincount(quintiles, minlength=6)[1:]
    assert quintiles.dtype == np.int64
    assert sizes.sum() == len(weights)
    assert np.ptp(sizes) <= 1
    assert (np.diff(quintiles[np.argsort(weights, kind="stable")]) >= 0).all()


def test_equal_weights_are_in_the_same_quintile() -> None:
    assert density_quintiles(np.ones(10, dtype=np.float32)).tolist() == [3] * 10
    assert density_quintiles(np.array([1, 1, 2, 3, 4])).tolist() == [2, 2, 3, 4, 5]
    rising = np.arange(5, dtype=np.float32)
    assert density_quintiles(rising[::-1]).tolist() == [5, 4, 3, 2, 1]


def test_description_is_json_with_kish_size_and_duplicates() -> None:
    distances = np.array([[0, 1], [0, 1], [2, 2], [3, 7]], dtype=np.float32)
    weights = density_weights(distances, "mean_distance")  # 1, 1, 4 and 10 quarters
    description = json.loads(json.dumps(describe_density(distances, weights)))
    assert (description["n_items"], description["k"], description["duplicates"]) == (4, 2, 2)
    assert description["effective_sample_size"] == pytest.approx(16**2 / 118)
    assert [description[name] for name in ("min", "max", "mean")] == [0.25, 2.5, 1.0]
    assert description["std"] == pytest.approx(np.sqrt(118 / 4 / 16 - 1))
    assert description["percentiles"]["50"] == pytest.approx(0.625)
    assert list(description["percentiles"]) == ["1", "5", "25", "50", "75", "95", "99"]


def test_uniform_weights_are_worth_all_items() -> None:
    description = describe_density(np.ones((9, 2)), np.ones(9, dtype=np.float32))
    assert description["effective_sample_size"] == 9


@pytest.mark.parametrize(
    ("ids", "weights", "message"),
    [
        (["a"], [1, 1], r"1 ids, and weights of shape \(2,\)"),
        (["a"], [[1]], r"1 ids, and weights of shape \(1, 1\)"),
        (["a", "b", "b"], [1, 1, 1], "density_ids: 'b' occurs more than once"),
        (["a", "b"], [1, np.nan], "density_weights: row 1 is nan"),
        (["a", "b"], [np.inf, 1], "density_weights: row 0 is inf"),
        (["a", "b"], [1, -2], "density_weights: row 1 is -2.0"),
    ],
)
def test_ids_and_weights_that_do_not_fit_are_one_line(ids, weights, message: str) -> None:
    weights = np.array(weights, dtype=np.float32)
    with pytest.raises(InputError, match=message) as error:
        check_density(as_ids(ids), weights)
    assert "kedro run --pipelines=density" in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=message):
        sample_ids(ids, weights, 1, replacement=True, seed=0)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_weights_do_not_depend_on_the_blocks_in_which_they_are_computed(
    estimator: Estimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    distances = np.sort(np.random.default_rng(0).random((100, 7), dtype=np.float32), axis=1)
    weights = density_weights(distances, estimator)
    monkeypatch.setattr("embedlab.density.weights.BLOCK_SIZE", 3)
    np.testing.assert_array_equal(density_weights(distances, estimator), weights)


@pytest.fixture(params=["few", "many"])
def few_or_many(request, monkeypatch) -> None:
    """Sampling as from few weights, and as from more than torch.multinomial takes."""
    if request.param == "many":
        monkeypatch.setattr("embedlab.density.sampler.MAX_MULTINOMIAL", 0)


@pytest.mark.usefixtures("few_or_many")
def test_draws_with_replacement_come_as_often_as_their_weights() -> None:
    weights = np.array([1, 2, 5], dtype=np.float32)
    drawn = np.array(list(density_sampler(weights, 20_000, replacement=True, seed=0)))
    np.testing.assert_allclose(np.bincount(drawn) / 20_000, weights / 8, atol=0.015)


@pytest.mark.usefixtures("few_or_many")
def test_draws_without_replacement_differ_and_prefer_the_heavy() -> None:
    weights = np.array([1] * 50 + [20] * 50, dtype=np.float32)
    sampler = density_sampler(weights, 40, replacement=False, seed=0)
    drawn = list(sampler)
    assert len(set(drawn)) == len(drawn) == len(sampler) == 40
    assert sum(position >= 50 for position in drawn) > 30
    assert sorted(density_sampler(weights, 100, replacement=False, seed=0)) == list(range(100))


@pytest.mark.parametrize("replacement", [True, False])
def test_more_weights_than_torch_takes_can_be_drawn_from(replacement: bool) -> None:
    weights = np.zeros(2**24 + 1, dtype=np.float32)
    weights[[5, -1]] = 1, 3
    drawn = list(density_sampler(weights, 2, replacement, seed=0))
    assert len(drawn) == 2
    assert set(drawn) <= {5, 2**24}
    assert replacement or len(set(drawn)) == 2


@pytest.mark.usefixtures("few_or_many")
@pytest.mark.parametrize("replacement", [True, False])
def test_a_seed_gives_the_same_sample(replacement: bool) -> None:
    ids = [f"p{i}" for i in range(100)]
    weights = np.linspace(0.5, 1.5, 100, dtype=np.float32)
    first = sample_ids(ids, weights, 30, replacement, seed=1)
    assert first == sample_ids(ids, weights, 30, replacement, seed=1)
    assert first != sample_ids(ids, weights, 30, replacement, seed=2)
    assert first == [ids[i] for i in density_sampler(weights, 30, replacement, seed=1)]


@pytest.mark.parametrize(
    ("num_samples", "weights", "message"),
    [
        (0, [1, 1], r"num_samples must be at least 1 \(got 0\)"),
        (3, [1, 1], "num_samples is 3, but only 2 items can be drawn without replacement"),
        (2, [1, 0], "num_samples is 2, but only 1 items can be drawn"),
    ],
)
def test_samples_that_cannot_be_drawn_are_one_line(num_samples: int, weights, message: str) -> None:
    with pytest.raises(InputError, match=message):
        density_sampler(np.array(weights, dtype=np.float32), num_samples, replacement=False, seed=0)


def test_more_than_there_are_can_be_drawn_with_replacement() -> None:
    assert len(sample_ids(["a"], np.ones(1, dtype=np.float32), 5, replacement=True, seed=0)) == 5
