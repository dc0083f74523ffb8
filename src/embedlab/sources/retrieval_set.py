"""A retrieval test set: documents, queries and relevance judgements."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class RetrievalSet:
    """A test set in BEIR's terms (Thakur et al. 2021, arXiv 2104.08663).

    Attributes:
        corpus: columns id, title, text; one row a document, ids unique strings.
        queries: columns id, text; the judged queries only.
        qrels: columns query_id, corpus_id, score (integer relevance, 0 is judged irrelevant).
    """

    corpus: pd.DataFrame
    queries: pd.DataFrame
    qrels: pd.DataFrame

    def document_texts(self) -> list[str]:
        """Each document as BEIR's models see it: title and text, joined by one space."""
        return [
            f"{title} {text}".strip()
            for title, text in zip(self.corpus["title"], self.corpus["text"], strict=True)
        ]

    def relevant_pairs(self) -> pd.DataFrame:
        """Every judged query with each of its relevant documents that is not empty.

        Returns:
            Columns query_id, corpus_id, query, document (both texts), in the order of the qrels.
        """
        queries = self.queries.set_index("id")["text"]
        documents = pd.Series(self.document_texts(), index=self.corpus["id"])
        relevant = self.qrels.loc[self.qrels["score"] > 0, ["query_id", "corpus_id"]]
        pairs = relevant.assign(
            query=relevant["query_id"].map(queries), document=relevant["corpus_id"].map(documents)
        )
        return pairs[pairs["document"] != ""]
