from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedlab.errors import InputError
from embedlab.search.exact import Similarity, exact_search
from embedlab.text_table import Ids, as_ids


def names(prefix: str, count: int) -> Ids:
    return as_ids(f"{prefix}{i}" for i in range(count))


def search(queries: np.ndarray, corpus: Any, top_k: int, *options: Any) -> pd.DataFrame:
    ids = names("q", len(queries)), names("d", len(corpus))
    return exact_search(queries, corpus, *ids, top_k, *options)


def full_scores(queries: np.ndarray, corpus: np.ndarray, similarity: Similarity) -> np.ndarray:
    """All q x n scores in double precision."""
    queries, corpus = queries.astype(np.float64), corpus.astype(np.float64)
    if similarity == "euclidean":
        return -np.linalg.norm(queries[:, None] - corpus[None], axis=2)
    if similarity == "cosine":
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
        corpus = corpus / np.linalg.norm(corpus, axis=1, keepdims=True)
    return queries @ corpus.T


def reference(scores: np.ndarray, top_k: int) -> list[tuple[str, str]]:
    """Query and document of each result, by a full stable sort."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
    return [(f"q{q}", f"d{d}") for q, row in enumerate(order) for d in row]


def pairs(run: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(run["query_id"], run["corpus_id"], strict=True))


@settings(deadline=None)
@given(
    n_queries=st.integers(1, 5),
    n_documents=st.integers(1, 40),
    top_k=st.integers(1, 45),
    chunk_size=st.integers(1, 50),
    similarity=st.sampled_from(["dot", "euclidean"]),
    seed=st.integers(0, 1000),
)
def test_ties_go_by_corpus_position_for_any_chunk_size(
    n_queries: int,
    n_documents: int,
    top_k: int,
    chunk_size: int,
    similarity: Similarity,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    # Small whole numbers: products are exact, and most scores are shared by several documents.
    queries = rng.integers(-2, 3, (n_queries, 3)).astype(np.float32)
    corpus = rng.integers(-2, 3, (n_documents, 3)).astype(np.float32)
    run = search(queries, corpus, top_k, similarity, chunk_size)
    expected = full_scores(queries, corpus, similarity)
    assert pairs(run) == reference(expected, top_k)
    best = -np.sort(-expected, axis=1)[:, :top_k]
    np.testing.assert_allclose(run["score"], best.ravel(), atol=1e-5)


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
def test_real_vectors_rank_as_all_pairs_do(similarity: Similarity) -> None:
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((300, 32), dtype=np.float32)
    corpus = rng.standard_normal((700, 32), dtype=np.float32)
    run = search(queries, corpus, 10, similarity, 128)
    expected = full_scores(queries, corpus, similarity)
    np.testing.assert_allclose(run["score"], -np.sort(-expected)[:, :10].ravel(), atol=1e-4)
    assert pairs(run) == reference(expected, 10)


def test_cosine_ignores_lengths_and_takes_null_vectors() -> None:
    run = search(np.eye(2, dtype=np.float32), np.diag([5.0, 0.0]).astype(np.float32), 1, "cosine")
    assert pairs(run) == [("q0", "d0"), ("q1", "d0")]
    assert run["score"].tolist() == [1.0, 0.0]


def test_corpus_is_read_in_chunks_from_a_read_only_map(tmp_path: Path) -> None:
    read: list[int] = []

    class Recorder:
        """Gives slices alone, and notes how long each is."""

        def __init__(self, array: np.ndarray):
            self.array, self.shape = array, array.shape

        def __len__(self) -> int:
            return len(self.array)

        def __getitem__(self, rows: slice) -> np.ndarray:
            read.append(len(self.array[rows]))
            return self.array[rows]

    corpus = np.random.default_rng(0).standard_normal((1000, 8), dtype=np.float32)
    np.save(tmp_path / "corpus.npy", corpus)
    mapped = np.load(tmp_path / "corpus.npy", mmap_mode="r")
    run = search(corpus[:3], Recorder(mapped), 5, "cosine", 300)
    assert read == [300, 300, 300, 100]
    assert pairs(run)[::5] == [("q0", "d0"), ("q1", "d1"), ("q2", "d2")]


def test_other_dimensions_are_one_clear_line() -> None:
    with pytest.raises(InputError, match="queries have 3 dimensions and documents 4"):
        search(np.ones((1, 3), np.float32), np.ones((1, 4), np.float32), 1)
