"""Training pairs as rows of queries and documents, and what must not be a negative."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from embedlab.errors import InputError
from embedlab.sources.retrieval_documents import text_id


def pair_rows(
    pairs: pd.DataFrame,
    query_ids: Sequence[str],
    document_ids: Sequence[str],
    name: str = "the training pairs",
) -> np.ndarray:
    """Rows of each pair's query, positive and negative, int64 `(n, 3)`; -1 for no negative.

    Args:
        pairs: columns query, positive, negative (may be missing).
        query_ids: identifiers of the queries' rows: see `text_id`.
        document_ids: identifiers of the documents' rows.
        name: what the pairs are called.

    Raises:
        InputError: naming the first pair whose text has no row.
    """
    columns = [("query", query_ids), ("positive", document_ids), ("negative", document_ids)]
    rows = np.full((len(pairs), 3), -1, dtype=np.int64)
    for place, (column, ids) in enumerate(columns):
        if column not in pairs:
            continue
        given = pairs[column].notna().to_numpy()
        rows[given, place] = pd.Index(ids).get_indexer(pd.Index(pairs[column][given].map(text_id)))
        if (rows[given, place] < 0).any():
            row = int(np.flatnonzero(given)[(rows[given, place] < 0).argmax()])
            raise InputError(
                f"row {row} of {name}: its {column} is not among the embedded texts; "
                "run `kedro run --pipelines=data_ingestion,embedding_cache` again"
            )
    return rows


def relevant_rows(pairs: np.ndarray, n_queries: int) -> np.ndarray:
    """The documents relevant to each query, int64 `(n_queries, r)`, filled up with -1.

    Args:
        pairs: rows of queries and documents relevant to them, `(p, 2)`.
        n_queries: number of queries.
    """
    distinct = np.unique(pairs, axis=0)
    counts = np.bincount(distinct[:, 0], minlength=n_queries)
    places = np.arange(len(distinct)) - np.repeat(np.cumsum(counts) - counts, counts)
    relevant = np.full((n_queries, max(1, counts.max(initial=0))), -1, dtype=np.int64)
    relevant[distinct[:, 0], places] = distinct[:, 1]
    return relevant


def triples_table(
    rows: np.ndarray,
    mined: np.ndarray,
    query_ids: Sequence[str],
    document_ids: Sequence[str],
) -> pd.DataFrame:
    """Training pairs with their negatives, by identifier.

    Args:
        rows: of query, positive and given negative, `(n, 3)`; -1 for no negative.
        mined: rows of further negatives, `(n, h)`.
        query_ids: identifiers of the queries' rows.
        document_ids: identifiers of the documents' rows.

    Returns:
        Columns query_id, positive_id and negative_ids, a list: the given one comes first.
    """
    documents = np.array(document_ids, dtype=object)
    negatives = np.column_stack([rows[:, 2], mined])
    return pd.DataFrame(
        {
            "query_id": np.array(query_ids, dtype=object)[rows[:, 0]],
            "positive_id": documents[rows[:, 1]],
            "negative_ids": [documents[own[own >= 0]].tolist() for own in negatives],
        }
    )


def triple_rows(
    table: pd.DataFrame, query_ids: Sequence[str], document_ids: Sequence[str]
) -> np.ndarray:
    """Rows of query, positive and negatives, int64 `(n, 2 + h)`; -1 where one has fewer negatives.

    Raises:
        InputError: if the table is of other texts.
    """
    documents = pd.Index(document_ids)
    counts = table["negative_ids"].map(len).to_numpy()
    rows = np.full((len(table), 2 + counts.max(initial=0)), -1, dtype=np.int64)
    rows[:, 0] = pd.Index(query_ids).get_indexer(pd.Index(table["query_id"]))
    rows[:, 1] = documents.get_indexer(pd.Index(table["positive_id"]))
    is_given = np.arange(rows.shape[1] - 2) < counts[:, None]
    negatives = [name for names in table["negative_ids"] for name in names]
    rows[:, 2:][is_given] = documents.get_indexer(pd.Index(negatives, dtype=object))
    if (rows[:, :2] < 0).any() or (rows[:, 2:][is_given] < 0).any():
        raise InputError(
            "the training triples are of other texts than the embeddings; "
            "run `kedro run --pipelines=embedding_cache,isotropic_retrieval` again"
        )
    return rows


def validation_rows(
    pairs: pd.DataFrame, query_ids: Sequence[str], document_ids: Sequence[str], stage: str
) -> np.ndarray:
    """Rows of query and positive of a stage's validation pairs, int64 `(v, 2)`.

    Raises:
        InputError: if there is no pair.
    """
    if pairs.empty:
        raise InputError(
            f"{stage}_pairs_val has no pair to validate on; give data_ingestion.{stage}_pairs "
            "a share or a split for validation"
        )
    return pair_rows(pairs, query_ids, document_ids, f"{stage}_pairs_val")[:, :2]
