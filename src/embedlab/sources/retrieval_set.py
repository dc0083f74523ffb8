"""A retrieval test set: documents, queries and relevance judgements."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from embedlab.errors import InputError
from embedlab.text_table import Texts, find_rows, take_rows


@dataclass(frozen=True)
class RetrievalSet:
    """A test set in BEIR's terms (Thakur et al. 2021, arXiv 2104.08663).

    Attributes:
        corpus: columns id, title, text; one row a document, ids unique strings. It may be a file
            that is mapped into memory.
        queries: columns id, text; the judged queries only.
        qrels: columns query_id, corpus_id, score (integer relevance, 0 is judged irrelevant).

    Raises:
        InputError: if a judgement names a query or document that is not in the tables.
    """

    corpus: pa.Table
    queries: pd.DataFrame
    qrels: pd.DataFrame

    def __post_init__(self) -> None:
        is_known = {
            "query_id": self.qrels["query_id"].isin(self.queries["id"]).to_numpy(),
            "corpus_id": find_rows(self.corpus["id"], self.qrels["corpus_id"]) >= 0,
        }
        for name, known in is_known.items():
            if not known.all():
                raise InputError(
                    f"qrels name the {name} {self.qrels[name].iloc[known.argmin()]}, which is not "
                    "in the retrieval set; run `kedro run --pipelines=data_ingestion` again"
                )

    def relevant_pairs(self) -> pd.DataFrame:
        """Every judged query with each of its relevant documents that is not empty.

        Returns:
            Columns query_id, corpus_id, query, document (both texts), in the order of the qrels.
        """
        queries = self.queries.set_index("id")["text"]
        relevant = self.qrels.loc[self.qrels["score"] > 0, ["query_id", "corpus_id"]]
        documents = take_rows(self.corpus, find_rows(self.corpus["id"], relevant["corpus_id"]))
        pairs = relevant.assign(
            query=relevant["query_id"].map(queries), document=list(full_texts(documents))
        )
        return pairs[pairs["document"] != ""]


def full_texts(corpus: pa.Table) -> Texts:
    """Each document as BEIR's models see it: title and text, joined by one space.

    Example:
        >>> list(full_texts(pa.table({"title": ["Tea", ""], "text": ["is brewed.", "Water."]})))
        ['Tea is brewed.', 'Water.']
    """
    return Texts(corpus, _joined)


def _joined(documents: pa.RecordBatch) -> Iterator[str]:
    columns = (documents[name].to_pylist() for name in ("title", "text"))
    return (f"{title} {text}".strip() for title, text in zip(*columns, strict=True))
