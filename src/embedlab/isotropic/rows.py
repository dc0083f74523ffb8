"""Training pairs as rows of queries and documents."""

from itertools import chain

import numpy as np
import pandas as pd

from embedlab.errors import InputError
from embedlab.sources.retrieval_documents import text_id
from embedlab.text_table import Ids, find_rows, take_ids


def pair_rows(
    pairs: pd.DataFrame,
    query_ids: Ids,
    document_ids: Ids,
    name: str = "the training pairs",
) -> np.ndarray:
    """Rows of each pair's query, positive and negative, int64 `(n, 3)`; -1 for no negative.

    The pairs have the columns query, positive and, optionally, negative, and a `name` for messages;
    the ids are the `text_id` of each query and of each document.

    Raises:
        InputError: naming the first pair whose text has no row.
    """
    columns = [("query", query_ids), ("positive", document_ids), ("negative", document_ids)]
    rows = np.full((len(pairs), 3), -1, dtype=np.int64)
    for i, (column, ids) in enumerate(columns):
        if column not in pairs:
            continue
        given = np.flatnonzero(pairs[column].notna())
        found = find_rows(ids, pairs[column].iloc[given].map(text_id))
        if (found < 0).any():
            raise InputError(
                f"row {given[(found < 0).argmax()]} of {name}: its {column} is not among the "
                "embedded texts; run `kedro run --pipelines=data_ingestion,embedding_cache` again"
            )
        rows[given, i] = found
    return rows


def relevant_rows(pairs: np.ndarray, num_queries: int) -> np.ndarray:
    """The documents relevant to each query, int64 `(num_queries, r)`, padded with -1.

    Pairs are rows of queries and of documents relevant to them, int64 `(p, 2)`.

    Example:
        >>> relevant_rows(np.array([[0, 5], [2, 1], [0, 3], [0, 5]]), 3).tolist()
        [[3, 5], [-1, -1], [1, -1]]
    """
    queries, documents = np.unique(pairs, axis=0).T
    columns = pd.Series(queries).groupby(queries).cumcount().to_numpy()
    relevant = np.full((num_queries, 1 + columns.max(initial=0)), -1, dtype=np.int64)
    relevant[queries, columns] = documents
    return relevant


def triples_table(
    rows: np.ndarray, mined: np.ndarray, query_ids: Ids, document_ids: Ids
) -> pd.DataFrame:
    """Name the training pairs and negatives of `pair_rows` `(n, 3)` and mined negatives `(n, h)`.

    Returns:
        Columns query_id, positive_id and negative_ids, lists in which the given negative is first.
    """
    negatives = np.column_stack([rows[:, 2], mined])
    is_given = negatives >= 0
    ends = np.cumsum(is_given.sum(axis=1))[:-1]
    return pd.DataFrame(
        {
            "query_id": take_ids(query_ids, rows[:, 0]),
            "positive_id": take_ids(document_ids, rows[:, 1]),
            "negative_ids": [
                part.tolist()
                for part in np.split(take_ids(document_ids, negatives[is_given]), ends)
            ],
        }
    )


def triple_rows(table: pd.DataFrame, query_ids: Ids, document_ids: Ids) -> np.ndarray:
    """Rows of query, positive and negatives of a `triples_table`: int64 `(n, 2 + h)`, -1 padded.

    Raises:
        InputError: if it names a query or document that is not among the ids.
    """
    counts = table["negative_ids"].map(len).to_numpy()
    rows = np.full((len(table), 2 + counts.max(initial=0)), -1, dtype=np.int64)
    is_given = np.arange(rows.shape[1]) < 2 + counts[:, None]
    negatives = list(chain.from_iterable(table["negative_ids"]))
    rows[:, 0] = find_rows(query_ids, table["query_id"])
    rows[:, 1] = find_rows(document_ids, table["positive_id"])
    rows[:, 2:][is_given[:, 2:]] = find_rows(document_ids, negatives)
    if (rows[is_given] < 0).any():
        raise InputError(
            "the training triples are of other texts than the embeddings; "
            "run `kedro run --pipelines=embedding_cache,isotropic_retrieval` again"
        )
    return rows


def validation_rows(
    pairs: pd.DataFrame, query_ids: Ids, document_ids: Ids, stage: str
) -> np.ndarray:
    """Rows of query and positive of a stage's validation pairs, int64 `(v, 2)`.

    Raises:
        InputError: if there is no pair, or a text has no row.
    """
    if pairs.empty:
        raise InputError(
            f"{stage}_pairs_val has no pair to validate on; give data_ingestion.{stage}_pairs "
            "a share or a split for validation"
        )
    return pair_rows(pairs, query_ids, document_ids, f"{stage}_pairs_val")[:, :2]
