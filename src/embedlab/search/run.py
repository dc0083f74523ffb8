"""A run: the table of search results, with the columns query_id, corpus_id and score.

Scores of a query are in descending order.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

# An array of Arrow may map a file: the ids of a large corpus do not lie in memory.
Ids: TypeAlias = Sequence[str] | pa.Array | pa.ChunkedArray


def make_run(
    query_ids: Ids, corpus_ids: Ids, scores: np.ndarray, positions: np.ndarray
) -> pd.DataFrame:
    """Make a run from the scores and corpus positions `(q, k)` of the results of q queries.

    Example:
        >>> ids, scores, positions = pa.array(["a", "b"]), np.array([[0.5]]), np.array([[1]])
        >>> make_run(["q"], ids, scores, positions).values.tolist()
        [['q', 'b', 0.5]]
    """
    return pd.DataFrame(
        {
            "query_id": np.repeat(np.array(query_ids, dtype=object), positions.shape[1]),
            "corpus_id": _ids_at(corpus_ids, positions.ravel()),
            "score": scores.ravel(),
        }
    )


def arrow_ids(ids: Ids) -> pa.ChunkedArray:
    """Ids as an array of Arrow."""
    return ids if isinstance(ids, pa.ChunkedArray) else pa.chunked_array([ids])


def _ids_at(ids: Ids, positions: np.ndarray) -> np.ndarray:
    """The ids at some positions `(m,)`; no others become Python objects."""
    rows, places = np.unique(positions, return_inverse=True)
    wanted = np.zeros(len(ids), dtype=bool)
    wanted[rows] = True
    # `take` would join the chunks of all ids in memory first.
    found = arrow_ids(ids).filter(pa.array(wanted)).to_pylist()
    return np.array(found, dtype=object)[places]
