from collections.abc import Mapping

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors

from embedlab.errors import InputError
from embedlab.novelty.detectors import DETECTORS, DetectorInput, detector_scores
from embedlab.statistics.detection import auroc

METHODS = ("knn", "mahalanobis", "isolation_forest")
Sets = Mapping[str, np.ndarray]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def scores_of(train: np.ndarray, sets: Sets, k: int = 5, seed: int = 0) -> dict[str, Sets]:
    """Scores by detector and set."""
    by_set = {name: detector_scores(DetectorInput(train, v, k, seed)) for name, v in sets.items()}
    return {method: {name: by_set[name][method] for name in sets} for method in DETECTORS}


@pytest.fixture(scope="module")
def train() -> np.ndarray:
    return normal(400, 12) * np.linspace(0.2, 3, 12, dtype=np.float32)


@pytest.fixture(scope="module")
def sets() -> dict[str, np.ndarray]:
    scales = np.linspace(0.2, 3, 12, dtype=np.float32)
    known, shifted = normal(150, 12, seed=1) * scales, normal(90, 12, seed=2) * scales
    return {"held_out": known, "out_of_distribution": shifted + 4}


@pytest.fixture(scope="module")
def scores(train: np.ndarray, sets: Sets) -> dict[str, Sets]:
    return scores_of(train, sets)


def test_every_method_scores_every_vector(scores, sets) -> None:
    assert tuple(scores) == METHODS
    for by_set in scores.values():
        assert {name: len(values) for name, values in by_set.items()} == {
            name: len(vectors) for name, vectors in sets.items()
        }
        assert all(values.dtype == np.float32 for values in by_set.values())


@pytest.mark.parametrize("method", METHODS)
def test_vectors_from_elsewhere_score_higher(scores, method: str) -> None:
    by_set = scores[method]
    assert auroc(by_set["out_of_distribution"], by_set["held_out"]) > 0.95


def test_knn_is_that_of_scikit_learn(train, sets, scores) -> None:
    search = NearestNeighbors(n_neighbors=5).fit(train.astype(np.float64))
    for name, vectors in sets.items():
        expected = search.kneighbors(vectors.astype(np.float64))[0]
        np.testing.assert_allclose(scores["knn"][name], expected[:, 4], rtol=1e-5)
        found = DetectorInput(train, vectors, 5, 0).neighbour_distances
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_mahalanobis_is_that_of_scikit_learn_and_scipy(train, sets, scores) -> None:
    fitted = LedoitWolf().fit(train.astype(np.float64))
    inverse = np.linalg.inv(fitted.covariance_)
    for name, vectors in sets.items():
        ours = scores["mahalanobis"][name]
        np.testing.assert_allclose(ours**2, fitted.mahalanobis(vectors), rtol=1e-5)
        centre = train.astype(np.float64).mean(axis=0, keepdims=True)
        by_scipy = cdist(vectors, centre, "mahalanobis", VI=inverse)[:, 0]
        np.testing.assert_allclose(ours, by_scipy, rtol=1e-5)


def test_isolation_forest_is_that_of_scikit_learn_from_0_to_1(train, sets, scores) -> None:
    forest = IsolationForest(n_estimators=100, max_samples=256, random_state=0).fit(train)
    for name, vectors in sets.items():
        ours = scores["isolation_forest"][name]
        np.testing.assert_allclose(ours, -forest.score_samples(vectors), rtol=1e-6)
        assert (ours > 0).all()
        assert (ours < 1).all()


def test_mahalanobis_sees_what_is_far_for_its_direction(train) -> None:
    # Two units are 10 standard deviations of the first column, and less than one of the last.
    odd, usual = np.zeros((2, 1, 12), dtype=np.float32)
    odd[0, 0] = usual[0, -1] = 2
    found = scores_of(train, {"odd": odd, "usual": usual})["mahalanobis"]
    assert found["odd"] > 5 * found["usual"]


@pytest.mark.parametrize("offset", [0, 1000])
def test_fewer_vectors_than_dimensions_and_an_offset(offset: float) -> None:
    train = offset + normal(30, 64)
    sets = {"near": offset + normal(40, 64, seed=1), "far": offset + 3 * normal(40, 64, seed=2)}
    for by_set in scores_of(train, sets).values():
        assert auroc(by_set["far"], by_set["near"]) > 0.95


def test_scores_depend_on_the_seed_alone(train, sets, scores) -> None:
    again, other = (scores_of(train, sets, seed=seed) for seed in (0, 1))
    for method in METHODS:
        for name in sets:
            np.testing.assert_array_equal(again[method][name], scores[method][name])
    assert not np.array_equal(
        other["isolation_forest"]["held_out"], scores["isolation_forest"]["held_out"]
    )


def test_k_beyond_the_training_vectors_is_lowered_to_their_number(train) -> None:
    few, vectors = train[:3], normal(20, 12, seed=3)
    found = scores_of(few, {"held_out": vectors}, k=10)["knn"]["held_out"]
    np.testing.assert_allclose(found, cdist(vectors, few).max(axis=1), rtol=1e-5)


def test_a_training_vector_is_at_no_distance_from_itself(train) -> None:
    assert not DetectorInput(train, train[::7], 5, 0).neighbour_distances[:, 0].any()


@pytest.mark.parametrize("n_distinct", [1, 2])
def test_training_vectors_that_span_nothing_still_tell_near_from_far(n_distinct: int) -> None:
    train = np.repeat(normal(n_distinct, 500), 20 // n_distinct, axis=0)
    sets = {"near": train[:1] + 0.1 * normal(1, 500, seed=4), "far": normal(1, 500, seed=5)}
    found = scores_of(train, sets)
    for method in ("knn", "mahalanobis"):
        assert found[method]["near"] < found[method]["far"] < np.inf
    assert np.isfinite(found["isolation_forest"]["far"])


def test_faulty_input_is_one_line(train) -> None:
    faulty = normal(5, 12)
    faulty[3, 2] = np.nan
    with pytest.raises(InputError, match=r"row 3 of the .* is not finite"):
        scores_of(train, {"held_out": faulty})
    with pytest.raises(InputError, match=r"row 3 of the .* is not finite"):
        scores_of(faulty, {"held_out": train})
    with pytest.raises(InputError, match=r"have 7 dimensions and .* 12"):
        scores_of(train, {"held_out": normal(5, 7)})
    with pytest.raises(InputError, match="k must be at least 1"):
        scores_of(train, {"held_out": train}, k=0)
