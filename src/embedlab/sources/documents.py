"""Pairs from unlabelled documents: the first sentence is the query, the rest its positive."""

from collections.abc import Callable
from itertools import count, islice
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from embedlab.errors import InputError
from embedlab.parameters import Parameters, Seed
from embedlab.sources.bad_rows import BadRows, OnError, UnwantedRowError
from embedlab.sources.fields import new_id, optional_text, required_id, required_text
from embedlab.sources.huggingface import HuggingFaceSource, open_rows
from embedlab.sources.negatives import bm25_negatives, random_negatives
from embedlab.sources.records import Record, usable_rows
from embedlab.sources.retrieval_set import RetrievalSet
from embedlab.sources.sampling import draw_rows
from embedlab.sources.sentences import first_sentence
from embedlab.text_table import as_table

PAIR_COLUMNS = ["id", "title", "query", "text", "source"]


class DocumentPairsParameters(Parameters):
    """Which documents to make pairs from, and how.

    Attributes:
        data: a dataset or local files with a column of texts (titles and ids optional).
        text_column: the column of texts.
        title_column: the column of titles, if there is one.
        id_column: the column of identifiers; None numbers the rows "<source>-<n>".
        max_documents: usable documents after which reading stops; None reads all.
        min_characters: shorter texts are left out.
        max_characters: longer texts are cut at a word boundary; None cuts none.
        max_pairs: upper bound on the number of pairs, drawn with the seed; None takes all.
        keep_sentence: keep the first sentence in its positive.
        negatives: none, another positive of the same split at random, or the one that BM25 ranks
            first.
        split: shares of the pairs for training, validation and test; they sum to 1.
        seed: seed of every draw.
        on_error: `fail` on bad rows, or `skip` them.
    """

    source: Literal["documents"] = "documents"
    data: HuggingFaceSource
    text_column: str = "text"
    title_column: str = "title"
    id_column: str | None = None
    max_documents: int | None = Field(default=None, ge=1)
    min_characters: int = Field(default=1, ge=1)
    max_characters: int | None = Field(default=None, ge=1)
    max_pairs: int | None = Field(default=None, ge=1)
    keep_sentence: bool = False
    negatives: Literal["none", "random", "bm25"] = "random"
    split: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: Seed = 42
    on_error: OnError = "fail"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.max_characters is not None and self.min_characters > self.max_characters:
            raise ValueError("min_characters exceeds max_characters")
        if min(self.split) <= 0 or not np.isclose(sum(self.split), 1):
            raise ValueError(f"split {list(self.split)} must be three shares that sum to 1")
        return self


def read_document_pairs(
    p: DocumentPairsParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, RetrievalSet, dict[str, Any]]:
    """Make a pair of every document with two sentences or more, and split the pairs.

    A positive is the document's title and its text without the first sentence. Documents whose
    query or text repeats an earlier one are left out, so that no text is in two splits.

    Returns:
        Training and validation pairs (columns query, positive, negative, source; negative missing
        with `negatives: none`), the test pairs as a retrieval set whose corpus is their positives,
        and the report of the rows read.

    Raises:
        InputError: for bad rows under `on_error: fail`, unreadable files or datasets, too few
            documents.
    """
    bad_rows, rng = BadRows(p.on_error), np.random.default_rng(p.seed)
    rows = usable_rows(open_rows(p.data), _parser(p), bad_rows)
    pairs = pd.DataFrame(islice(rows, p.max_documents), columns=PAIR_COLUMNS)
    bad_rows.settle()
    train, validation, test = _split(draw_rows(pairs, p.max_pairs, rng), p, rng)
    sizes = {"train_pairs": len(train), "validation_pairs": len(validation)}
    report = bad_rows.report() | sizes | {"test_queries": len(test)}
    train, validation = (_with_negatives(pairs, p.negatives, rng) for pairs in (train, validation))
    return train, validation, _retrieval_set(test), report


def shortened(text: str, max_characters: int) -> str:
    """The longest prefix of at most `max_characters` characters that ends at a word boundary.

    Example:
        >>> shortened("a long passage", 8)
        'a long'
    """
    if len(text) <= max_characters:
        return text
    end = text.rfind(" ", 0, max_characters + 1)
    return text[: end if end > 0 else max_characters].rstrip()


def _parser(p: DocumentPairsParameters) -> Callable[[Record], tuple[str, ...]]:
    numbers, ids, seen = count(), set[str](), set[str]()

    def parse(record: Record) -> tuple[str, ...]:
        default = f"{p.data.label}-{next(numbers)}"
        text = required_text(record, p.text_column)
        identifier = new_id(required_id(record, p.id_column) if p.id_column else default, ids)
        title = optional_text(record, p.title_column)
        text = shortened(" ".join(text.split()), p.max_characters or len(text))
        if len(text) < p.min_characters:
            raise UnwantedRowError("shorter than min_characters")
        query, rest = first_sentence(text)
        if not rest:
            raise UnwantedRowError("one sentence only")
        if query in seen or rest in seen:
            raise UnwantedRowError("repeats an earlier document")
        if not p.keep_sentence and query in f"{title} {rest}":
            raise UnwantedRowError("says its first sentence again")
        seen.update((query, rest))
        positive = f"{query} {rest}" if p.keep_sentence else rest
        return identifier, title, query, positive, p.data.label

    return parse


def _split(
    pairs: pd.DataFrame, p: DocumentPairsParameters, rng: np.random.Generator
) -> list[pd.DataFrame]:
    """Training, validation and test pairs, each in the order read."""
    bounds = np.rint(np.cumsum(p.split)[:2] * len(pairs)).astype(int)
    splits = np.split(rng.permutation(len(pairs)), bounds)
    needed = 1 if p.negatives == "none" else 2
    if any(len(split) < needed for split in splits):
        raise InputError(
            f"{p.data.label}: {len(pairs)} pairs are too few to split by {list(p.split)} with "
            f"negatives: {p.negatives}; give more documents"
        )
    return [pairs.iloc[np.sort(split)].reset_index(drop=True) for split in splits]


def _with_negatives(pairs: pd.DataFrame, kind: str, rng: np.random.Generator) -> pd.DataFrame:
    positives = (pairs["title"] + " " + pairs["text"]).str.strip()
    negatives = None
    if kind == "random":
        negatives = positives.to_numpy()[random_negatives(len(pairs), rng)]
    elif kind == "bm25":
        negatives = positives.to_numpy()[bm25_negatives(list(pairs["query"]), list(positives))]
    return pairs[["query"]].assign(positive=positives, negative=negatives, source=pairs["source"])


def _retrieval_set(pairs: pd.DataFrame) -> RetrievalSet:
    """The pairs as a test set: the one relevant document of a query is its own."""
    query_ids = "query-" + pairs["id"]
    return RetrievalSet(
        corpus=as_table(pairs[["id", "title", "text"]]),
        queries=pd.DataFrame({"id": query_ids, "text": pairs["query"]}),
        qrels=pd.DataFrame({"query_id": query_ids, "corpus_id": pairs["id"], "score": 1}),
    )
