"""Documents that are their query: to be left out of its results, which they would all lead."""

import logging
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from embedlab.sources.retrieval_set import full_texts
from embedlab.text_table import find_rows, take_rows

logger = logging.getLogger(__name__)

DropIdentical = Literal["texts", "ids", "none"]


def identical_ids(
    corpus: pa.Table, queries: pd.DataFrame, qrels: pd.DataFrame, drop: DropIdentical
) -> list[str]:
    """List the ids of the queries whose document of the same id is to be left out.

    Some sets (ArguAna, Quora) take their queries from the corpus, so each would find itself first.
    In others, queries and documents are numbered alike, and equal ids mean nothing. So with `texts`
    a document is left out if its text, with or without its title, is the query's, too, whatever the
    white space; with `ids` any is, as by beir's `evaluate`; with `none` none is.

    Example:
        >>> texts = {"title": ["", ""], "text": ["Why?", "A reason."]}
        >>> corpus = pa.table({"id": ["1", "2"]} | texts)
        >>> queries = pd.DataFrame({"id": ["1", "2"], "text": ["Why?", "How?"]})
        >>> qrels = pd.DataFrame({"query_id": ["1"], "corpus_id": ["2"], "score": [1]})
        >>> identical_ids(corpus, queries, qrels, "texts")
        ['1']
    """
    rows = find_rows(corpus["id"], queries["id"] if drop != "none" else [])
    documents = take_rows(corpus, np.sort(rows[rows >= 0]))
    shared = documents.to_pandas()
    if drop == "texts":
        asked = shared["id"].map(_words(queries.set_index("id")["text"]))
        full = pd.Series(list(full_texts(documents)), dtype=object)
        shared = shared[(_words(shared["text"]) == asked) | (_words(full) == asked)]
    is_own = (qrels["query_id"] == qrels["corpus_id"]) & (qrels["score"] > 0)
    if num_relevant := int((is_own & qrels["query_id"].isin(shared["id"])).sum()):
        logger.warning(
            "evaluation.drop_identical: %s leaves out %d documents that are judged relevant to the "
            "query of the same id; `none` keeps them",
            *(drop, num_relevant),
        )
    identifiers: list[str] = shared["id"].tolist()
    return identifiers


def drop_identical(run: pd.DataFrame, identical: Sequence[str]) -> pd.DataFrame:
    """Drop the documents of `identical_ids` from the results of the queries of the same id."""
    is_own = (run["query_id"] == run["corpus_id"]) & run["query_id"].isin(identical)
    return run[~is_own].reset_index(drop=True)


def _words(texts: pd.Series) -> pd.Series:
    """The texts with single blanks as white space."""
    return texts.map(lambda text: " ".join(text.split()))
