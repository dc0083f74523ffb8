import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedlab.errors import InputError
from embedlab.text_table import (
    ROWS_PER_BATCH,
    as_ids,
    as_table,
    column_texts,
    find_rows,
    open_table,
    repeated_rows,
    spill,
    take_ids,
    take_rows,
    without_rows,
    write_table,
)

IDS = st.lists(st.sampled_from(["a", "b", "é", "", "long " * 9, "c", "d"]), max_size=30)


def chunked(ids, size):
    chunks = [pa.array(ids[start : start + size]) for start in range(0, len(ids), size)]
    return pa.chunked_array(chunks, pa.string())


@given(IDS, IDS, st.integers(1, 9))
def test_rows_are_found_whatever_the_chunks(ids, wanted, size):
    distinct = list(dict.fromkeys(ids))
    expected = [distinct.index(name) if name in distinct else -1 for name in wanted]
    assert find_rows(chunked(distinct, size), wanted).tolist() == expected


@given(IDS, st.integers(1, 9))
def test_repeated_rows_are_those_that_pandas_names(ids, size):
    expected = np.flatnonzero(pd.Series(ids, dtype=object).duplicated())
    assert repeated_rows(chunked(ids, size)).tolist() == expected.tolist()


def test_repeated_rows_are_found_without_all_identifiers_in_memory():
    count = 20 * ROWS_PER_BATCH
    ids = as_ids(f"{i % (count - 1):0100d}" for i in range(count))
    tracemalloc.start()
    assert repeated_rows(ids).tolist() == [count - 1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50 * count


@given(st.lists(st.integers(0, 29), max_size=40), st.integers(1, 9))
def test_rows_are_taken_in_the_order_asked_for(rows, size):
    ids = [f"id{i}" for i in range(30)]
    taken = take_rows(pa.table({"id": chunked(ids, size)}), np.array(rows, dtype=int))
    assert taken["id"].to_pylist() == [ids[row] for row in rows]


def test_rows_that_were_not_found_are_refused():
    ids = as_ids("abc")
    with pytest.raises(InputError, match="lacks identifiers that others name"):
        take_ids(ids, find_rows(ids, ["a", "x"]))


def test_identifiers_keep_the_shape_of_their_rows():
    assert take_ids(as_ids("abc"), np.array([[2, 0], [1, 1]])).tolist() == [["c", "a"], ["b", "b"]]


def test_a_long_stream_becomes_a_table_outside_the_memory(tmp_path):
    count, before = 2 * ROWS_PER_BATCH + 1, pa.total_allocated_bytes()
    table = spill(((str(i), "x" * (i % 50)) for i in range(count)), ["id", "text"])
    write_table(table, tmp_path / "table.arrow")
    kept = without_rows(open_table(tmp_path / "table.arrow"), np.arange(0, count, 2))
    assert pa.total_allocated_bytes() == before
    assert (table.num_rows, kept.num_rows) == (count, ROWS_PER_BATCH)
    assert kept["id"].to_pylist() == [str(i) for i in range(1, count, 2)]
    texts = column_texts(kept, "text")
    assert len(texts) == ROWS_PER_BATCH
    for _ in range(2):
        assert list(texts) == ["x" * (i % 50) for i in range(1, count, 2)]


def test_no_rows_are_a_table_too():
    table = spill([], ["id"])
    assert (table.num_rows, table.column_names) == (0, ["id"])
    assert repeated_rows(table["id"]).tolist() == []
    assert list(column_texts(as_table(pd.DataFrame({"id": []})), "id")) == []
