"""Checks that the catalog makes when an artifact is loaded or saved."""

import numpy as np
import pandas as pd

from embedlab.encoders.embeddings import Embeddings
from embedlab.errors import InputError

ROWS_PER_CHECK = 65536


def check_embeddings(embeddings: Embeddings) -> None:
    """Apply `check_vectors` and `check_ids`, and check that there are as many of both.

    Raises:
        InputError: naming what is wrong.
    """
    check_vectors(embeddings.vectors)
    check_ids(embeddings.ids, f"{embeddings.name}.ids")
    if len(embeddings.ids) != len(embeddings.vectors):
        raise InputError(
            f"{embeddings.name}.embeddings: {len(embeddings.vectors)} rows for "
            f"{len(embeddings.ids)} ids; run `kedro run --pipelines=embedding_cache` again"
        )


def check_vectors(embeddings: np.ndarray) -> None:
    """Check that vectors are finite float32 (n, d) and C-contiguous.

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
            row = start + int(np.argmin(finite))
            raise InputError(f"{name}: row {row} is not finite; run embedding_cache again")


def check_ids(ids: list[str], name: str = "ids") -> None:
    """Check that identifiers are a list of distinct strings; `name` begins the messages.

    Raises:
        InputError: naming the first faulty position.
    """
    if not isinstance(ids, list):
        raise InputError(f"{name}: expected a JSON list, found {type(ids).__name__}")
    faulty = next((i for i, item in enumerate(ids) if not isinstance(item, str)), None)
    if faulty is not None:
        raise InputError(f"{name}: position {faulty} is {ids[faulty]!r}, not a string")
    if len(set(ids)) < len(ids):
        first = pd.Series(ids).duplicated().to_numpy().argmax()
        raise InputError(f"{name}: {ids[first]!r} at position {first} is repeated")


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
        if absent := [name for name in self.names if name not in table]:
            raise InputError(f"column(s) {', '.join(absent)} missing; run {self.made_by} again")
        missing = table[self.names].isna()
        if missing.to_numpy().any():
            column = missing.any().idxmax()
            row = int(missing[column].to_numpy().argmax())
            raise InputError(f"row {row}: {column} is missing; run {self.made_by} again")
        return table
