"""Checks that the catalog makes when an artifact is loaded or saved."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from embedlab.encoders.embeddings import Embeddings, NewEmbeddings, VectorStream
from embedlab.errors import InputError
from embedlab.text_table import Ids, as_ids, repeated_rows

ROWS_PER_CHECK = 65536


def check_embeddings(embeddings: Embeddings | NewEmbeddings) -> Embeddings | NewEmbeddings:
    """Check vectors and ids, and that there are as many of both.

    New vectors are checked block by block when they are written.

    Raises:
        InputError: naming what is wrong.
    """
    if isinstance(embeddings, NewEmbeddings):
        embeddings = replace(embeddings, vectors=_checked(embeddings.vectors))
    else:
        check_vectors(embeddings.vectors)
    name = getattr(embeddings, "name", "embeddings")
    check_ids(embeddings.ids, f"{name}.ids")
    if len(embeddings.ids) != embeddings.vectors.shape[0]:
        raise InputError(
            f"{name}.embeddings: {embeddings.vectors.shape[0]} rows for {len(embeddings.ids)} ids; "
            "run `kedro run --pipelines=embedding_cache` again"
        )
    return embeddings


def _checked(vectors: VectorStream) -> VectorStream:
    def blocks() -> Iterator[np.ndarray]:
        start = 0
        for block in vectors.blocks():
            check_vectors(block, start)
            start += len(block)
            yield block

    return replace(vectors, blocks=blocks)


def check_vectors(embeddings: np.ndarray, first_row: int = 0) -> None:
    """Check that vectors are finite float32 (n, d) and C-contiguous.

    The first of them is row `first_row` in messages.

    Raises:
        InputError: naming the file, the row and the reason.
    """
    name = getattr(embeddings, "filename", None) or "embeddings"
    if embeddings.ndim != 2 or embeddings.dtype != np.float32:
        raise InputError(
            f"{name}: expected float32 (n, d), found {embeddings.dtype} {embeddings.shape}"
        )
    if not embeddings.flags.c_contiguous:
        raise InputError(
            f"{name}: the array is not C-contiguous; save numpy.ascontiguousarray of it"
        )
    for start in range(0, len(embeddings), ROWS_PER_CHECK):
        finite = np.isfinite(embeddings[start : start + ROWS_PER_CHECK]).all(axis=1)
        if not finite.all():
            row = first_row + start + int(np.argmin(finite))
            raise InputError(f"{name}: row {row} is not finite; run embedding_cache again")


def check_ids(ids: Ids | list[str], name: str = "ids") -> None:
    """Check that identifiers are distinct; `name` begins the messages.

    Raises:
        InputError: naming the first faulty position.
    """
    column = as_ids(ids) if isinstance(ids, list) else ids
    if len(repeated := repeated_rows(column)):
        value = column[int(repeated[0])].as_py()
        raise InputError(f"{name}: {value!r} at position {repeated[0]} is repeated")


def check_weights(weights: np.ndarray) -> None:
    """Check that weights are positive, finite float32 (n,).

    Raises:
        InputError: naming the file, the position and the reason.
    """
    name = getattr(weights, "filename", None) or "weights"
    if weights.ndim != 1 or weights.dtype != np.float32:
        raise InputError(f"{name}: expected float32 (n,), found {weights.dtype} {weights.shape}")
    sound = np.isfinite(weights) & (weights > 0)
    if not sound.all():
        row = int(np.argmin(sound))
        raise InputError(
            f"{name}: position {row} is {weights[row]}, not a positive number; run density again"
        )


class Columns:
    """Checks that a table has these columns, without missing values."""

    def __init__(self, names: list[str], made_by: str = "data_ingestion"):
        self.names = names
        self.made_by = made_by

    def validate(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the table.

        Raises:
            InputError: naming the faulty column, and the first row without a value.
        """
        if table.empty:  # JSON lines without a line have no columns
            return table.reindex(columns=self.names)
        self._require(table.columns)
        missing = table[self.names].isna()
        if missing.to_numpy().any():
            column = missing.any().idxmax()
            row = int(missing[column].to_numpy().argmax())
            raise InputError(f"row {row}: {column} is missing; run {self.made_by} again")
        return table

    def _require(self, columns: Iterable[str]) -> None:
        present = set(columns)
        if absent := [name for name in self.names if name not in present]:
            raise InputError(f"column(s) {', '.join(absent)} missing; run {self.made_by} again")


class TextColumns(Columns):
    """Checks that an Arrow table has these columns of texts, without missing values."""

    def validate(self, table: pa.Table) -> pa.Table:
        """Return the table.

        Raises:
            InputError: naming the faulty column, and the first row without a value.
        """
        self._require(table.column_names)
        for name in self.names:
            column = table[name]
            if column.type != pa.string():
                raise InputError(f"{name} is {column.type}, not text; run {self.made_by} again")
            if column.null_count:
                row = pc.index(column.is_null(), True).as_py()
                raise InputError(f"row {row}: {name} is missing; run {self.made_by} again")
        return table
