"""Pairs from documents without labels: the first sentence asks for the rest of its document."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from embedlab.errors import InputError
from embedlab.parameters import Parameters, Seed
from embedlab.sources.bad_rows import BadRows, OnError
from embedlab.sources.huggingface import HuggingFaceSource, open_rows
from embedlab.sources.negatives import bm25_negatives, random_negatives
from embedlab.sources.passages import PassageReader, column_reader
from embedlab.sources.records import Record, usable_rows
from embedlab.sources.retrieval_set import RetrievalSet
from embedlab.sources.sentences import first_sentence
from embedlab.sources.wikipedia import WikipediaParameters, article_reader

PAIR_COLUMNS = ["id", "title", "query", "text", "source"]


class DocumentPairsParameters(Parameters):
    """Which documents to make pairs from, and how.

    Attributes:
        data: a dataset or local files with a column of texts (titles and ids optional).
        wikipedia: Wikipedia instead, with its own limits.
        text_column: the column of texts in `data`.
        title_column: the column of titles in `data`, used where there is one.
        id_column: the column of identifiers in `data`; None numbers the rows "<source>-<n>".
        num_pairs: at most so many pairs, drawn with the seed; None takes all.
        keep_sentence: leave the first sentence in its positive.
        negatives: none, a random other positive of the same share, or the one BM25 ranks highest.
        split: shares of the pairs for training, validation and test; they sum to 1.
        seed: seed of every draw.
        on_error: what to do about bad rows.
    """

    source: Literal["documents"] = "documents"
    data: HuggingFaceSource | None = None
    wikipedia: WikipediaParameters | None = None
    text_column: str = "text"
    title_column: str = "title"
    id_column: str | None = None
    num_pairs: int | None = Field(default=None, ge=1)
    keep_sentence: bool = False
    negatives: Literal["none", "random", "bm25"] = "random"
    split: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: Seed = 42
    on_error: OnError = "fail"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.data is None) == (self.wikipedia is None):
            raise ValueError("give one of data and wikipedia")
        if min(self.split) <= 0 or not np.isclose(sum(self.split), 1):
            raise ValueError(f"split {list(self.split)} must be three shares that sum to 1")
        return self

    @property
    def label(self) -> str:
        """The short name of the documents."""
        return self.data.label if self.data else "wikipedia"


def read_document_pairs(
    p: DocumentPairsParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, RetrievalSet, dict[str, Any]]:
    """Make a pair of every document with two sentences or more, and share the pairs out.

    A positive is the document's title and the text without its first sentence, as the test set's
    documents are read. Documents whose query or text repeats an earlier one are left out, so that
    the shares have no text in common.

    Returns:
        Training and validation pairs (columns query, positive, negative, source; negative missing
        with `negatives: none`), the test share as a retrieval set, whose corpus is its own
        positives, and the reading's report.

    Raises:
        InputError: for bad rows under `on_error: fail`, for files or datasets that cannot be
            read, for too few documents.
    """
    bad_rows, random = BadRows(p.on_error), np.random.default_rng(p.seed)
    pairs = pd.DataFrame(_pairs(p, bad_rows), columns=PAIR_COLUMNS)
    bad_rows.settle()
    train, validation, test = _shares(_drawn(pairs, p.num_pairs, random), p, random)
    report = bad_rows.report() | {
        "train_pairs": len(train),
        "validation_pairs": len(validation),
        "test_queries": len(test),
    }
    return (
        _with_negatives(train, p.negatives, random),
        _with_negatives(validation, p.negatives, random),
        _retrieval_set(test),
        report,
    )


def _pairs(p: DocumentPairsParameters, bad_rows: BadRows) -> Iterator[tuple[str, ...]]:
    """(id, title, query, text, source) of every document that gives a pair; others are counted."""
    rows, read, limit = _open(p, bad_rows)
    seen: set[str] = set()

    def parse(record: Record) -> tuple[str, ...] | None:
        document = read(record)
        if document is None:
            return None
        query, rest = first_sentence(document.text)
        if reason := _unfit(query, rest, document.title, p.keep_sentence, seen):
            bad_rows.leave_out(reason)
            return None
        seen.update((query, rest))
        text = f"{query} {rest}" if p.keep_sentence else rest
        return document.id, document.title, query, text, p.label

    return islice(usable_rows(rows, parse, bad_rows), limit)


def _open(
    p: DocumentPairsParameters, bad_rows: BadRows
) -> tuple[Iterator[Record], PassageReader, int | None]:
    """The rows, their reader, and how many pairs to read at most."""
    if p.wikipedia:
        rows = open_rows(p.wikipedia.articles, bad_rows)
        return rows, article_reader(p.wikipedia, bad_rows), p.wikipedia.num_passages
    assert p.data is not None  # the parameters' own check
    read = column_reader(p.label, p.text_column, p.title_column, p.id_column)
    return open_rows(p.data, bad_rows), read, None


def _unfit(query: str, rest: str, title: str, keep_sentence: bool, seen: set[str]) -> str | None:
    """Why a document gives no pair, None when it does."""
    if not rest:
        return "one sentence only"
    if query in seen or rest in seen:
        return "repeats an earlier document"
    if not keep_sentence and query in f"{title} {rest}":
        return "says its first sentence again"
    return None


def _drawn(pairs: pd.DataFrame, size: int | None, random: np.random.Generator) -> pd.DataFrame:
    """At most `size` of the pairs, their order kept."""
    return pairs.iloc[np.sort(random.permutation(len(pairs))[:size])]


def _shares(
    pairs: pd.DataFrame, p: DocumentPairsParameters, random: np.random.Generator
) -> list[pd.DataFrame]:
    """Training, validation and test pairs, each in the order read."""
    bounds = np.rint(np.cumsum(p.split)[:2] * len(pairs)).astype(int)
    shares = np.split(random.permutation(len(pairs)), bounds)
    needed = 1 if p.negatives == "none" else 2
    if any(len(share) < needed for share in shares):
        raise InputError(
            f"{p.label}: {len(pairs)} pairs are too few to split by {list(p.split)} with "
            f"negatives: {p.negatives}; give more documents"
        )
    return [pairs.iloc[np.sort(share)].reset_index(drop=True) for share in shares]


def _with_negatives(
    share: pd.DataFrame, negatives: str, random: np.random.Generator
) -> pd.DataFrame:
    """The share as query, positive, negative, source."""
    positives = (share["title"] + " " + share["text"]).str.strip()
    pairs = pd.DataFrame({"query": share["query"], "positive": positives, "negative": None})
    if negatives == "random":
        others = random_negatives(len(share), random)
        pairs["negative"] = positives.to_numpy()[others]
    if negatives == "bm25":
        others = bm25_negatives(list(share["query"]), list(positives))
        pairs["negative"] = positives.to_numpy()[others]
    return pairs.assign(source=share["source"])


def _retrieval_set(share: pd.DataFrame) -> RetrievalSet:
    """The share as a test set: every query has its own document as the one relevant answer."""
    query_ids = "query-" + share["id"]
    return RetrievalSet(
        corpus=share[["id", "title", "text"]],
        queries=pd.DataFrame({"id": query_ids, "text": share["query"]}),
        qrels=pd.DataFrame({"query_id": query_ids, "corpus_id": share["id"], "score": 1}),
    )
