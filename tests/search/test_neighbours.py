import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from embedlab.errors import InputError
from embedlab.search import approximate, neighbours
from embedlab.search.approximate import approximate_neighbours
from embedlab.search.neighbours import Metric, nearest_neighbours, neighbours_of

METRICS = ("euclidean", "cosine")


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def peer(vectors: np.ndarray, k: int, metric: Metric) -> tuple[np.ndarray, np.ndarray]:
    """Distances and rows as scikit-learn gives them, in double precision."""
    search = NearestNeighbors(n_neighbors=k, algorithm="brute", metric=metric)
    return search.fit(vectors.astype(np.float64)).kneighbors()


def all_pairs(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """By every Euclidean distance, and a full stable sort."""
    distances = cdist(vectors.astype(np.float64), vectors.astype(np.float64))
    np.fill_diagonal(distances, np.inf)
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, rows, axis=1), rows


def crowded(n_rows: int, n_crowd: int, dimension: int, spread: float = 0) -> np.ndarray:
    """Normal vectors, of which some rows are near-duplicates, or copies if there is no spread."""
    vectors = normal(n_rows, dimension)
    rows = np.random.default_rng(7).permutation(n_rows)[:n_crowd]
    vectors[rows] = vectors[rows[0]] * (1 + spread * normal(n_crowd, dimension, seed=8))
    return vectors


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The sizes of what is read, and of the distances computed, each time that any are."""
    sizes = []

    def counting(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        def count(points: np.ndarray, others: np.ndarray) -> np.ndarray:
            distances = function(points, others)
            sizes.append((others.size, distances.size))
            return distances

        return count

    for name in ("_distances", "cdist"):
        monkeypatch.setattr(neighbours, name, counting(getattr(neighbours, name)))
    return sizes


def hard_vectors() -> dict[str, np.ndarray]:
    """Vectors whose distances are lost in float32 products, or shared by many."""
    rng = np.random.default_rng(1)
    offset = 1000 + normal(400, 48)
    two_ends = normal(400, 48, seed=2) + np.where(rng.random((400, 1)) < 0.5, 300, -300)
    crowd = np.concatenate([normal(300, 48, seed=3), 1 + 1e-4 * normal(300, 48, seed=4)])
    lengths = normal(400, 48, seed=5) * rng.lognormal(0, 3, (400, 1))
    copies = np.repeat(normal(8, 48, seed=6), 60, axis=0)
    examples = {
        "offset": offset,
        "two_ends": two_ends,
        "crowd": crowd,
        "lengths": lengths,
        "copies": copies,
    }
    return {name: vectors.astype(np.float32) for name, vectors in examples.items()}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("n_rows", "dimension", "k"), [(2, 3, 1), (30, 1, 29), (700, 64, 20), (1003, 384, 5)]
)
def test_neighbours_are_those_of_scikit_learn(
    n_rows: int, dimension: int, k: int, metric: Metric
) -> None:
    vectors = normal(n_rows, dimension)
    distances, rows = nearest_neighbours(vectors, k, metric)
    expected, expected_rows = peer(vectors, k, metric)
    assert (distances.dtype, rows.dtype) == (np.float32, np.int64)
    np.testing.assert_allclose(distances, expected, atol=1e-6, rtol=2e-6)
    if dimension > 1:  # the cosines of numbers are 1 or -1: all are tied
        np.testing.assert_array_equal(rows, expected_rows)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", hard_vectors())
def test_distances_are_exact_where_products_are_not(name: str, metric: Metric) -> None:
    vectors = hard_vectors()[name]
    distances, _ = nearest_neighbours(vectors, 20, metric)
    expected, _ = peer(vectors, 20, metric)
    np.testing.assert_allclose(distances, expected, atol=1e-6, rtol=1e-5)


@settings(deadline=None)
@given(
    n_rows=st.integers(2, 90),
    k=st.integers(1, 89),
    dimension=st.integers(1, 3),
    block_size=st.integers(1, 2000),
    seed=st.integers(0, 1000),
)
def test_ties_go_by_row_for_any_block_size(
    n_rows: int, k: int, dimension: int, block_size: int, seed: int
) -> None:
    # Small whole numbers: distances are exact, and most are shared by several rows, or are 0.
    vectors = np.random.default_rng(seed).integers(0, 3, (n_rows, dimension)).astype(np.float32)
    k = min(k, n_rows - 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "BLOCK_SIZE", block_size)
        distances, rows = nearest_neighbours(vectors, k)
    expected, expected_rows = all_pairs(vectors, k)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_allclose(distances, expected, atol=1e-6)


def test_a_duplicate_is_a_neighbour_and_oneself_is_not() -> None:
    vectors = np.concatenate([normal(5, 4), normal(5, 4)])
    distances, rows = nearest_neighbours(vectors, 3)
    np.testing.assert_array_equal(rows[:, 0], (np.arange(10) + 5) % 10)
    assert not distances[:, 0].any()
    assert distances[:, 1].all()
    assert not (rows == np.arange(10)[:, None]).any()


def test_more_copies_than_neighbours_leave_oneself_out() -> None:
    distances, rows = nearest_neighbours(np.ones((40, 8), dtype=np.float32), 3)
    assert not distances.any()
    np.testing.assert_array_equal(rows[:4], [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
    np.testing.assert_array_equal(rows[4:], np.tile([0, 1, 2], (36, 1)))


@pytest.mark.parametrize("metric", METRICS)
def test_many_copies_cost_no_more_than_distinct_rows(
    metric: Metric, compared: list[tuple[int, int]]
) -> None:
    vectors = crowded(2600, 2200, 24)
    distances, rows = nearest_neighbours(vectors, 10, metric)
    at_once = 2600 * (10 + 1 + neighbours.SPARE)
    assert sum(n_distances for _, n_distances in compared) <= 1.05 * at_once  # few are in doubt
    np.testing.assert_allclose(distances, peer(vectors, 10, metric)[0], atol=1e-6, rtol=2e-6)
    if metric == "euclidean":
        np.testing.assert_array_equal(rows, all_pairs(vectors, 10)[1])


def test_many_copies_near_a_query_are_taken_by_row(compared: list[tuple[int, int]]) -> None:
    vectors = crowded(2600, 2200, 24)
    copies = np.flatnonzero((vectors == np.median(vectors, axis=0)).all(axis=1))
    queries = vectors[copies[0]] + np.float32(0.1) * normal(300, 24, seed=9)
    distances, rows = neighbours_of(queries, vectors, 10)
    assert sum(n_distances for _, n_distances in compared) <= 300 * (10 + neighbours.SPARE)
    assert len(copies) == 2200
    np.testing.assert_array_equal(rows, np.tile(copies[:10], (300, 1)))
    expected = np.linalg.norm(queries - vectors[copies[0]], axis=1)
    np.testing.assert_allclose(distances, np.tile(expected[:, None], 10), rtol=1e-6)


@pytest.mark.parametrize("n_crowd", [300, 1300])
@pytest.mark.parametrize("spread", [1e-7, 1e-4])
def test_near_duplicates_are_exact_in_blocks_of_the_promised_size(
    n_crowd: int,
    spread: float,
    compared: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbours, "BLOCK_SIZE", 2**16)
    vectors = crowded(1500, n_crowd, 48, spread)
    distances, _ = nearest_neighbours(vectors, 10)
    assert max(max(sizes) for sizes in compared) <= 2**16
    np.testing.assert_allclose(distances, all_pairs(vectors, 10)[0], atol=1e-6, rtol=1e-5)


def test_near_duplicates_are_told_apart_without_all_their_distances(
    compared: list[tuple[int, int]],
) -> None:
    vectors = crowded(3000, 1000, 48, 1e-6)
    distances, rows = nearest_neighbours(vectors, 10)
    at_once = 3000 * (10 + 1 + neighbours.SPARE)
    assert sum(n_distances for _, n_distances in compared) - at_once <= 1.01 * 1000 * 1000
    expected, expected_rows = all_pairs(vectors, 10)
    np.testing.assert_allclose(distances, expected, atol=1e-9, rtol=1e-5)
    assert (rows == expected_rows).mean() > 0.99  # but for distances equal in float32


def test_zeros_of_either_sign_are_the_same() -> None:
    vectors = np.tile(np.array([[0, 1], [-0.0, 1]], dtype=np.float32), (30, 1))
    distances, rows = nearest_neighbours(vectors, 3)
    assert not distances.any()
    np.testing.assert_array_equal(rows[4:], np.tile([0, 1, 2], (56, 1)))


@pytest.mark.parametrize("metric", METRICS)
def test_queries_that_are_no_rows(metric: Metric) -> None:
    queries, vectors = normal(70, 16), normal(300, 16, seed=1)
    distances, rows = neighbours_of(queries, vectors, 7, metric)
    search = NearestNeighbors(n_neighbors=7, algorithm="brute", metric=metric).fit(vectors)
    expected, expected_rows = search.kneighbors(queries)
    np.testing.assert_allclose(distances, expected, atol=1e-5)
    np.testing.assert_array_equal(rows, expected_rows)
    assert neighbours_of(queries[:0], vectors, 7, metric)[0].shape == (0, 7)


def test_a_read_only_map_gives_the_same_and_stays_as_it_is(tmp_path: Path) -> None:
    vectors = normal(200, 16)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    for metric in METRICS:
        for of_map, of_array in zip(
            nearest_neighbours(mapped, 5, metric),
            nearest_neighbours(vectors, 5, metric),
            strict=True,
        ):
            np.testing.assert_array_equal(of_map, of_array)
    np.testing.assert_array_equal(vectors, normal(200, 16))


@pytest.mark.parametrize("search", [nearest_neighbours, approximate_neighbours])
def test_mapped_vectors_are_not_copied_to_memory(
    search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "BLOCK_SIZE", 2**17)
    monkeypatch.setattr(approximate, "SAMPLE_SIZE", 100)
    np.save(tmp_path / "vectors.npy", normal(4000, 256))
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    tracemalloc.start()
    search(mapped, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < mapped.nbytes


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", hard_vectors())
def test_approximate_neighbours_are_told_apart_where_products_do_not(
    name: str, metric: Metric
) -> None:
    vectors = hard_vectors()[name]
    distances, _, recall = approximate_neighbours(vectors, 20, metric)
    radii = nearest_neighbours(vectors, 20, metric)[0][:, -1:]
    assert recall > 0.95
    assert (distances <= 1.0001 * radii).mean() == pytest.approx(recall, abs=0.02)


@pytest.mark.parametrize("metric", METRICS)
def test_approximate_neighbours_reach_the_recall_they_report(metric: Metric) -> None:
    vectors = normal(6000, 16)
    expected, expected_rows = nearest_neighbours(vectors, 10, metric)
    distances, rows, recall = approximate_neighbours(vectors, 10, metric, target_recall=0.9)
    found = [len(np.intersect1d(*both)) for both in zip(rows, expected_rows, strict=True)]
    assert 0.9 <= recall < 1
    assert np.mean(found) / 10 == pytest.approx(recall, abs=0.02)
    assert not (rows == np.arange(6000)[:, None]).any()
    assert (np.diff(distances, axis=1) >= 0).all()
    same = rows[:, 0] == expected_rows[:, 0]
    np.testing.assert_allclose(distances[same, 0], expected[same, 0], rtol=1e-4, atol=1e-6)


def test_approximate_neighbours_depend_on_the_seed_alone(tmp_path: Path) -> None:
    vectors = normal(3000, 8)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    first = approximate_neighbours(vectors, 5, seed=3)
    for ours, again in zip(first, approximate_neighbours(mapped, 5, seed=3), strict=True):
        np.testing.assert_array_equal(ours, again)
    largest = approximate_neighbours(vectors, 5, seed=2**32 - 1)
    assert not np.array_equal(first[1], largest[1])


@pytest.mark.parametrize("n_rows", [2, 50, 400])
def test_cells_that_hold_too_few_are_searched_beyond(n_rows: int) -> None:
    vectors = normal(n_rows, 8) + 100 * np.arange(n_rows)[:, None] // 40
    k = min(n_rows - 1, 60)  # more than any cell holds
    distances, rows, recall = approximate_neighbours(vectors, k, target_recall=0.5)
    assert (np.sort(rows)[:, 0] >= 0).all()
    assert all(len(set(row)) == k for row in rows.tolist())
    assert np.isfinite(distances).all()
    assert recall > 0.5


def test_recall_counts_equally_near_rows_the_same() -> None:
    copies = np.repeat(normal(40, 8), 50, axis=0)
    distances, _, recall = approximate_neighbours(copies, 5)
    assert recall == 1
    assert not distances.any()


@pytest.mark.parametrize("search", [nearest_neighbours, approximate_neighbours])
@pytest.mark.parametrize(
    ("n_rows", "k", "message"),
    [
        (5, 0, r"k must be at least 1 \(got 0\)"),
        (5, 5, "k is 5, but there are only 4 vectors to find neighbours among"),
        (1, 1, "k is 1, but there are only 0 vectors"),
        (0, 1, "k is 1, but there are only 0 vectors"),
    ],
)
def test_k_out_of_range_is_one_line(search, n_rows: int, k: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        search(np.ones((n_rows, 3), dtype=np.float32), k)


@pytest.mark.parametrize("search", [nearest_neighbours, approximate_neighbours])
def test_faulty_vectors_are_named(search) -> None:
    vectors = normal(60, 3)
    for fault in (np.nan, np.inf):
        vectors[7, 1] = fault
        with pytest.raises(InputError, match="row 7 of the vectors is not finite"):
            search(vectors, 2)
    vectors[7] = 0
    with pytest.raises(InputError, match="row 7 of the vectors is zero and has no cosine"):
        search(vectors, 2, "cosine")
    assert search(vectors, 2)[0].shape == (60, 2)


def test_other_dimensions_are_one_line() -> None:
    with pytest.raises(InputError, match="queries have 3 dimensions and vectors 4"):
        neighbours_of(normal(2, 3), normal(5, 4), 1)
