"""Mined hard negatives beside a naive implementation, and what they must never be."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedlab.errors import InputError
from embedlab.isotropic import hard_negatives
from embedlab.isotropic.hard_negatives import HardNegativeParameters, mine_hard_negatives

NONE = np.empty((0, 2), dtype=np.int64)


def vectors(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, 8), dtype=np.float32)


def table(rows: Any) -> np.ndarray:
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def mine(
    queries: np.ndarray, documents: np.ndarray, pairs: np.ndarray, known: np.ndarray, **options: Any
) -> np.ndarray:
    return mine_hard_negatives(
        queries, documents, pairs, known, HardNegativeParameters.model_validate(options)
    )


def naive(
    queries: np.ndarray, documents: np.ndarray, pairs: np.ndarray, known: np.ndarray, **options: Any
) -> list[set[int]]:
    """The allowed candidates of each pair, one at a time."""
    p = HardNegativeParameters.model_validate(options)
    relevant = set(map(tuple, np.concatenate([pairs, known]).tolist()))
    allowed = []
    for query, positive in pairs.tolist():
        cosines = [
            float(queries[query] @ d / np.linalg.norm(queries[query]) / np.linalg.norm(d))
            for d in documents.astype(np.float64)
        ]
        ranked = sorted(range(len(documents)), key=lambda row: -cosines[row])
        others = [row for row in ranked if (query, row) not in relevant]
        window = others[p.skip : p.skip + p.depth]
        limit = np.inf
        if p.max_relative_similarity is not None:
            limit = p.max_relative_similarity * cosines[positive]
        allowed.append({row for row in window if cosines[row] < limit})
    return allowed


rows = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    pairs=rows,
    known=rows,
    skip=st.integers(0, 3),
    count=st.integers(0, 4),
    spare=st.integers(0, 12),
    share=st.sampled_from([None, 0.5, 0.95]),
    blocks=st.tuples(st.integers(1, 7), st.integers(1, 30)),
    seed=st.integers(0, 99),
)
def test_negatives_are_those_of_a_naive_search_and_then_random_ones(
    pairs: list[tuple[int, int]],
    known: list[tuple[int, int]],
    skip: int,
    count: int,
    spare: int,
    share: float | None,
    blocks: tuple[int, int],
    seed: int,
) -> None:
    queries, documents = vectors(6, seed), vectors(25, seed + 1)
    data = queries, documents, table(pairs), table(known)
    options = {
        "skip": skip,
        "count": count,
        "depth": max(1, count + spare),
        "max_relative_similarity": share,
        "seed": seed,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hard_negatives, "PAIR_BLOCK", blocks[0])
        patch.setattr(hard_negatives, "DOCUMENT_BLOCK", blocks[1])
        negatives = mine(*data, **options)
    assert negatives.shape == (len(pairs), count)
    relevant = {*pairs, *known}
    expected = naive(*data, **options)
    for (query, _), found, allowed in zip(pairs, negatives.tolist(), expected, strict=True):
        assert len(set(found)) == count
        assert not {(query, row) for row in found} & relevant
        first = found[: min(count, len(allowed))]
        assert set(first) <= allowed


def test_a_depth_of_count_takes_the_nearest() -> None:
    queries, documents, pairs = vectors(40, 0), vectors(300, 1), table([(i, i) for i in range(40)])
    options = {"count": 5, "depth": 5, "skip": 2, "max_relative_similarity": None}
    found = mine(queries, documents, pairs, NONE, **options)
    assert list(map(set, found.tolist())) == naive(queries, documents, pairs, NONE, **options)


def test_every_allowed_candidate_may_be_drawn_and_the_seed_decides() -> None:
    queries, documents = vectors(1, 0), vectors(50, 1)
    pairs = table([(0, 3)] * 400)
    options = {"count": 2, "depth": 6, "max_relative_similarity": None}
    first, again, other = (
        mine(queries, documents, pairs, NONE, seed=s, **options) for s in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert set(first.ravel().tolist()) == naive(queries, documents, pairs[:1], NONE, **options)[0]


def test_the_pool_bounds_what_is_searched() -> None:
    queries, documents, pairs = (
        vectors(200, 0),
        vectors(500, 1),
        table([(i, 0) for i in range(200)]),
    )
    options = {"count": 3, "depth": 3, "pool_size": 20, "max_relative_similarity": None}
    assert len(np.unique(mine(queries, documents, pairs, NONE, **options))) <= 20


def test_missing_candidates_are_replaced_by_random_documents_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # All other documents are nearer than the positive.
    queries = np.array([[1, 0]], dtype=np.float32)
    documents = np.array([[0.1, 1]] + [[1, 0.01 * i] for i in range(9)], dtype=np.float32)
    with caplog.at_level(logging.INFO):
        found = mine(queries, documents, table([(0, 0)] * 30), table([(0, 9)]), count=2)
    assert "60 of 60 hard negatives are random" in caplog.text
    assert set(found.ravel().tolist()) == set(range(1, 9))


def test_maps_of_the_cache_are_read_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hard_negatives, "DOCUMENT_BLOCK", 64)
    queries, documents, pairs = vectors(30, 0), vectors(400, 1), table([(i, i) for i in range(30)])
    for name, array in (("queries", queries), ("documents", documents)):
        np.save(tmp_path / f"{name}.npy", array)
    maps = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("queries", "documents")]
    read: list[int] = []

    class Recorder(np.ndarray):
        """Notes how many rows are read at a time."""

        def __getitem__(self, rows: Any) -> Any:
            read.append(len(rows))
            return np.asarray(super().__getitem__(rows))

    expected = mine(queries, documents, pairs, NONE, count=4)
    found = mine(maps[0], maps[1].view(Recorder), pairs, NONE, count=4)
    assert np.array_equal(found, expected)
    assert max(read) == 64


def test_what_cannot_be_mined_is_one_line() -> None:
    pairs = table([(0, 0)])
    with pytest.raises(InputError, match=r"count is 4, but a query has only 3 of 5 documents"):
        mine(vectors(1, 0), vectors(5, 1), pairs, table([(0, 1)]), count=4)
    with pytest.raises(InputError, match=r"^depth 2 is less than count 3; raise it$"):
        HardNegativeParameters.model_validate({"count": 3, "depth": 2})
