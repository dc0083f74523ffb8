"""Tables of texts that may exceed the memory: Arrow files, mapped into memory."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from embedlab.digests import hashed_file
from embedlab.errors import InputError
from embedlab.files import replacing

ROWS_PER_BATCH = 10_000

# A column of identifiers.
Ids: TypeAlias = pa.ChunkedArray


class Texts:
    """The texts of a table's rows, made batch by batch each time that they are read.

    Args:
        table: n rows.
        make: gives the texts of a batch of rows.
    """

    def __init__(self, table: pa.Table, make: Callable[[pa.RecordBatch], Iterable[str]]):
        self._table, self._make = table, make

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __iter__(self) -> Iterator[str]:
        for batch in self._table.to_batches(max_chunksize=ROWS_PER_BATCH):
            yield from self._make(batch)


def column_texts(table: pa.Table, name: str) -> Texts:
    """The texts of one column."""
    return Texts(table, lambda batch: batch[name].to_pylist())


def spill(rows: Iterable[Sequence[str | None]], names: Sequence[str]) -> pa.Table:
    """Write rows of texts to a temporary file, and map it as a table.

    The file lies in the folder that `TMPDIR` names, and goes with the table.

    Example:
        >>> spill([("a", "tea"), ("b", "water")], ["id", "text"])["text"].to_pylist()
        ['tea', 'water']
    """
    return _spill(partial(write_rows, rows, names))


def as_table(frame: pd.DataFrame) -> pa.Table:
    """A small table of texts in memory."""
    schema = pa.schema([(name, pa.string()) for name in frame.columns])
    return pa.Table.from_pandas(frame, schema, preserve_index=False)


def write_rows(rows: Iterable[Sequence[str | None]], names: Sequence[str], path: Path) -> None:
    """Write rows of texts to an Arrow file."""
    schema = pa.schema([(name, pa.string()) for name in names])
    remaining = iter(rows)
    blocks = iter(lambda: list(islice(remaining, ROWS_PER_BATCH)), [])
    columns = (zip(*block, strict=True) for block in blocks)
    arrays = ([pa.array(column, pa.string()) for column in block] for block in columns)
    _write_batches((pa.record_batch(block, schema) for block in arrays), schema, path)


def without_rows(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """The table without these rows, which are in ascending order."""
    if not len(rows):
        return table
    starts = np.arange(0, table.num_rows, ROWS_PER_BATCH)
    kept = np.ones(table.num_rows, dtype=bool)
    kept[rows] = False
    batches = (
        batch
        for start in starts
        for batch in table.slice(start, ROWS_PER_BATCH)
        .filter(pa.array(kept[start : start + ROWS_PER_BATCH]))
        .combine_chunks()
        .to_batches()
    )
    return _spill(partial(_write_batches, batches, table.schema))


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as an Arrow file, in batches that readers map one by one."""
    with replacing(path) as temporary, hashed_file(temporary) as file:
        _write_batches(table.to_batches(max_chunksize=ROWS_PER_BATCH), table.schema, file)


def open_table(path: Path) -> pa.Table:
    """Map an Arrow file into memory.

    Raises:
        FileNotFoundError: if there is none.
        InputError: if the file is damaged.
    """
    path.stat()  # pyarrow's error of an absent file has no name
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: damaged ({reason}); run its pipeline again") from error
    return table


def as_ids(identifiers: Iterable[str]) -> Ids:
    """Identifiers as a column."""
    return pa.chunked_array([pa.array(identifiers, pa.string())])


def find_rows(ids: Ids, wanted: Iterable[str | None]) -> np.ndarray:
    """Find the row of each wanted identifier, int64 `(w,)`; -1 where there is none.

    Example:
        >>> find_rows(as_ids(["a", "b", "c"]), ["c", "x", "c"]).tolist()
        [2, -1, 2]
    """
    values = pa.array(wanted, pa.string())
    distinct = values.unique()
    rows = np.full(len(distinct), -1, dtype=np.int64)
    # Of all chunks at once: each call makes a hash table of the wanted ones.
    found = pc.index_in(ids, value_set=distinct, skip_nulls=True)
    rows[found.drop_null().to_numpy()] = np.flatnonzero(found.is_valid())
    found_rows: np.ndarray = rows[pc.index_in(values, value_set=distinct).to_numpy()]
    return found_rows


def take_rows(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """These rows in this order; of a mapped table, only the batches that have them are read.

    Raises:
        InputError: if a row is -1, as `find_rows` gives for what the table has not.

    Example:
        >>> take_rows(pa.table({"id": ["a", "b", "c"]}), np.array([2, 0, 2]))["id"].to_pylist()
        ['c', 'a', 'c']
    """
    if rows.min(initial=0) < 0:
        raise InputError("a table lacks identifiers that others name; run their pipelines again")
    order = np.argsort(rows, kind="stable")
    ascending, taken, start = rows[order], [], 0
    for batch in table.to_batches():
        first, last = np.searchsorted(ascending, [start, start + batch.num_rows])
        if first < last:
            taken.append(batch.take(pa.array(ascending[first:last] - start)))
        start += batch.num_rows
    found = pa.Table.from_batches(taken, table.schema).combine_chunks()
    return found.take(pa.array(np.argsort(order)))


def take_ids(ids: Ids, rows: np.ndarray) -> np.ndarray:
    """The identifiers of some rows, objects in the shape of `rows`."""
    taken = take_rows(pa.table({"id": ids}), rows.ravel())["id"]
    return np.array(taken.to_pylist(), dtype=object).reshape(rows.shape)


def repeated_rows(ids: Ids) -> np.ndarray:
    """The rows, in ascending order, whose value an earlier row has, too.

    Of each row, some 30 bytes are held.

    Example:
        >>> repeated_rows(as_ids(["a", "b", "a", "a"])).tolist()
        [2, 3]
    """
    batches = pa.table({"id": ids}).to_batches(max_chunksize=ROWS_PER_BATCH)
    parts = (batch["id"].to_numpy(zero_copy_only=False) for batch in batches)
    hashed = [pd.util.hash_array(part, categorize=False) for part in parts]
    hashes = np.concatenate([np.empty(0, np.uint64), *hashed])
    order = np.argsort(hashes, kind="stable")
    equal = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    # Rows of equal hashes, most of which have equal values.
    suspects = np.union1d(order[equal], order[equal + 1])
    return suspects[pd.Series(take_ids(ids, suspects)).duplicated().to_numpy(dtype=bool)]


def _spill(write: Callable[[Path], None]) -> pa.Table:
    """What a function writes to a path, mapped."""
    descriptor, name = tempfile.mkstemp(suffix=".arrow")
    os.close(descriptor)
    path = Path(name)
    try:
        write(path)
        return pa.ipc.open_file(pa.memory_map(name)).read_all()
    finally:
        path.unlink()


def _write_batches(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: Path | BinaryIO
) -> None:
    with pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
