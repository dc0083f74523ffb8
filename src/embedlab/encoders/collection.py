"""Collections of texts to embed, made from the tables of ingested data."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from embedlab.encoders.parameters import Role
from embedlab.errors import InputError
from embedlab.sources.prefixes import PREFIX_ID_SCHEME, prefix_text
from embedlab.sources.retrieval_set import RetrievalSet

SEPARATOR = " [SEP] "


@dataclass(frozen=True)
class TextCollection:
    """Identified items, each of one or more texts whose vectors are put end to end.

    Attributes:
        ids: n distinct identifiers.
        parts: p columns of n texts; an item's vector has p times the encoder's dimension.
        role: whether the texts are queries or documents.
        id_scheme: how the identifiers came about.
    """

    ids: list[str]
    parts: list[list[str]]
    role: Role = "document"
    id_scheme: str = "as in the source"

    def __post_init__(self) -> None:
        if any(len(texts) != len(self.ids) for texts in self.parts):
            raise InputError(f"a collection has {len(self.ids)} ids, but not as many texts")
        if duplicates := len(self.ids) - len(set(self.ids)):
            raise InputError(f"a collection has {duplicates} duplicate ids; make them distinct")

    @property
    def digest(self) -> str:
        """SHA-256 of ids and texts in order: whether vectors are of these very texts."""
        return hashlib.sha256(json.dumps([self.ids, self.parts]).encode()).hexdigest()

    def join(self, vectors: np.ndarray) -> np.ndarray:
        """Put the vectors (p * n, d) of the parts end to end: float32 (n, p * d)."""
        if len(self.parts) == 1:
            return vectors
        return np.ascontiguousarray(np.hstack(np.split(vectors, len(self.parts))))


def problem_solution_texts(problem_solutions: pd.DataFrame, concat: bool) -> TextCollection:
    """Problems with their solutions: as one text each if `concat`, else as two."""
    ids = problem_solutions["id"].tolist()
    problems, solutions = problem_solutions["problem"], problem_solutions["solution"]
    if concat:
        return TextCollection(ids, [(problems + SEPARATOR + solutions).tolist()])
    return TextCollection(ids, [problems.tolist(), solutions.tolist()])


def prefix_texts(prefixes: pd.DataFrame) -> TextCollection:
    """Conversation prefixes, all their messages joined."""
    texts = prefixes["prefix"].map(prefix_text).tolist()
    return TextCollection(prefixes["id"].tolist(), [texts], id_scheme=PREFIX_ID_SCHEME)


def query_texts(retrieval_set: RetrievalSet) -> TextCollection:
    """The queries of a retrieval set."""
    queries = retrieval_set.queries
    return TextCollection(queries["id"].tolist(), [queries["text"].tolist()], "query")


def document_texts(retrieval_set: RetrievalSet) -> TextCollection:
    """The documents of a retrieval set, title and text."""
    return TextCollection(retrieval_set.corpus["id"].tolist(), [retrieval_set.document_texts()])
