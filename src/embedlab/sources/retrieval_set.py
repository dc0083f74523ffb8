"""A retrieval test set: documents, queries and relevance judgements."""

from dataclasses import dataclass

import pandas as pd

from embedlab.errors import InputError


@dataclass(frozen=True)
class RetrievalSet:
    """A test set in BEIR's terms (Thakur et al. 2021, arXiv 2104.08663).

    Attributes:
        corpus: columns id, title, text; one row a document, ids unique strings.
        queries: columns id, text; the judged queries only.
        qrels: columns query_id, corpus_id, score (integer relevance, 0 is judged irrelevant).

    Raises:
        InputError: if a judgement names a query or document that is not in the tables.
    """

    corpus: pd.DataFrame
    queries: pd.DataFrame
    qrels: pd.DataFrame

    def __post_init__(self) -> None:
        for name, table in (("query_id", self.queries), ("corpus_id", self.corpus)):
            unknown = self.qrels[name][~self.qrels[name].isin(table["id"])]
            if len(unknown):
                raise InputError(
                    f"qrels name the {name} {unknown.iloc[0]}, which is not in the retrieval set; "
                    "run `kedro run --pipelines=data_ingestion` again"
                )

    def relevant_pairs(self) -> pd.DataFrame:
        """Every judged query with each of its relevant documents that is not empty.

        Returns:
            Columns query_id, corpus_id, query, document (both texts), in the order of the qrels.
        """
        queries = self.queries.set_index("id")["text"]
        documents = pd.Series(full_texts(self.corpus), index=self.corpus["id"])
        relevant = self.qrels.loc[self.qrels["score"] > 0, ["query_id", "corpus_id"]]
        pairs = relevant.assign(
            query=relevant["query_id"].map(queries), document=relevant["corpus_id"].map(documents)
        )
        return pairs[pairs["document"] != ""]


def full_texts(corpus: pd.DataFrame) -> list[str]:
    """Each document as BEIR's models see it: title and text, joined by one space.

    Example:
        >>> full_texts(pd.DataFrame({"title": ["Tea", ""], "text": ["is brewed.", "Water."]}))
        ['Tea is brewed.', 'Water.']
    """
    columns = zip(corpus["title"], corpus["text"], strict=True)
    return [f"{title} {text}".strip() for title, text in columns]
