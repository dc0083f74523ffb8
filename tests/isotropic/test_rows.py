"""Training pairs as rows of queries and documents."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedlab.errors import InputError
from embedlab.isotropic.rows import (
    pair_rows,
    relevant_rows,
    triple_rows,
    triples_table,
    validation_rows,
)
from embedlab.sources.retrieval_documents import text_id
from embedlab.text_table import as_ids


@given(
    pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), max_size=30),
    n_extra=st.integers(0, 3),
)
def test_relevant_rows_are_those_of_a_dictionary(pairs, n_extra):
    n_queries = 6 + n_extra
    rows = relevant_rows(np.array(pairs, dtype=np.int64).reshape(-1, 2), n_queries)
    expected = {query: set() for query in range(n_queries)}
    for query, document in pairs:
        expected[query].add(document)
    assert rows.shape == (n_queries, max(1, *(len(own) for own in expected.values())))
    for query, own in expected.items():
        given = rows[query][rows[query] >= 0].tolist()
        assert sorted(own) == sorted(given)


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(-1, 6)), min_size=1, max_size=12
    ),
    n_mined=st.integers(0, 3),
    seed=st.integers(0, 9),
)
def test_triples_are_read_back_with_as_many_negatives_as_they_have(rows, n_mined, seed):
    query_ids = as_ids(f"q{i}" for i in range(5))
    document_ids = as_ids(f"d{i}" for i in range(7))
    given = np.array(rows)
    mined = np.random.default_rng(seed).integers(7, size=(len(rows), n_mined))
    table = triples_table(given, mined, query_ids, document_ids)
    negatives = [
        [int(n) for n in (own[2], *more) if n >= 0] for own, more in zip(rows, mined, strict=True)
    ]
    assert table["negative_ids"].tolist() == [[f"d{n}" for n in own] for own in negatives]
    # As a file gives them back.
    table["negative_ids"] = table["negative_ids"].map(lambda names: np.array(names, dtype=object))
    read = triple_rows(table, query_ids, document_ids)
    width = max(len(own) for own in negatives)
    expected = [
        [q, p, *own, *[-1] * (width - len(own))]
        for (q, p, _), own in zip(rows, negatives, strict=True)
    ]
    assert read.tolist() == expected


def test_triples_of_other_texts_are_one_line():
    ids = as_ids("q"), as_ids("ab")
    table = triples_table(np.array([[0, 1, -1]]), np.array([[0]]), *ids)
    for query_ids, document_ids in (("x", "ab"), ("q", "ax"), ("q", "xb")):
        with pytest.raises(InputError, match=r"^the training triples are of other texts than"):
            triple_rows(table, as_ids(query_ids), as_ids(document_ids))


def pairs_of(*rows):
    return pd.DataFrame(rows, columns=["query", "positive", "negative"])


def test_pairs_are_found_by_their_texts():
    query_ids, document_ids = (as_ids(map(text_id, texts)) for texts in ("xy", "abc"))
    pairs = pairs_of(("y", "b", "a"), ("x", "c", None))
    assert pair_rows(pairs, query_ids, document_ids).tolist() == [[1, 1, 0], [0, 2, -1]]
    without = pairs.drop(columns="negative")
    assert pair_rows(without, query_ids, document_ids).tolist() == [[1, 1, -1], [0, 2, -1]]
    rows = validation_rows(pairs, query_ids, document_ids, "retrieval")
    assert rows.tolist() == [[1, 1], [0, 2]]
    stranger = pairs_of(("y", "b", None), ("x", "c", "d"))
    with pytest.raises(
        InputError, match=r"^row 1 of the training pairs: its negative is not among"
    ):
        pair_rows(stranger, query_ids, document_ids)


def test_a_stage_without_validation_pairs_is_one_line():
    with pytest.raises(InputError, match=r"^retrieval_pairs_val has no pair to validate on; give"):
        validation_rows(pairs_of(), [], [], "retrieval")
