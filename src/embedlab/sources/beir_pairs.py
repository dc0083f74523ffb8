"""Training pairs from retrieval sets: judged queries with their relevant documents."""

from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import Field

from embedlab.errors import InputError
from embedlab.parameters import Seed
from embedlab.sources.beir import BeirParameters, load_beir_set
from embedlab.sources.beir_sets import with_forums
from embedlab.sources.retrieval_documents import distinct_documents
from embedlab.sources.retrieval_set import RetrievalSet, full_texts
from embedlab.sources.sampling import draw_rows, hold_out


class BeirPairsParameters(BeirParameters):
    """Which retrieval sets to train on.

    Attributes:
        sets: BEIR sets by name; cqadupstack stands for its forums.
        split: which relevance judgements to use: qrels/<split>.tsv.
        validation_fraction: share of the queries held out, with all their pairs.
        max_pairs: pairs of each set at most, drawn with the seed; None takes all.
        seed: seed of every draw.
    """

    source: Literal["beir"] = "beir"
    sets: tuple[str, ...] = Field(min_length=1)
    split: str = "train"
    validation_fraction: float = Field(default=0.2, gt=0, lt=1)
    max_pairs: int | None = Field(default=None, ge=1)
    seed: Seed = 42


def read_beir_pairs(
    p: BeirPairsParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, pa.Table, dict[str, Any]]:
    """Every judged query with each of its relevant documents, split by query.

    Returns:
        Training and validation pairs (columns query, positive, negative, source; negatives are
        missing), the distinct documents of the sets, relevant or not (columns id and text), and
        the report of each set.

    Raises:
        InputError: for a set that cannot be read or has no pair, for fewer than two queries.
    """
    random = np.random.default_rng(p.seed)
    tables: list[pd.DataFrame] = []
    corpora: list[pa.Table] = []
    reports: dict[str, Any] = {}
    for name in with_forums(p.sets, Path(p.root)):
        found, reports[name] = load_beir_set(name, p)
        tables.append(_pairs(name, found, p, random))
        corpora.append(found.corpus)
    pairs = pd.concat(tables, ignore_index=True).drop_duplicates(["query", "positive"])
    if pairs["query"].nunique() < 2:
        raise InputError(f"{', '.join(p.sets)}: one query only; give two or more to hold out one")
    train, validation = hold_out(pairs, "query", p.validation_fraction, random)
    report = {"sets": reports, "train_pairs": len(train), "validation_pairs": len(validation)}
    texts = chain.from_iterable(full_texts(corpus) for corpus in corpora)
    return train, validation, distinct_documents(filter(None, texts)), report


def _pairs(
    name: str, found: RetrievalSet, p: BeirPairsParameters, random: np.random.Generator
) -> pd.DataFrame:
    """The pairs of one set, at most `max_pairs`."""
    relevant = found.relevant_pairs()
    if relevant.empty:
        raise InputError(f"{name}: qrels/{p.split}.tsv names no relevant document that has a text")
    pairs = pd.DataFrame({"query": relevant["query"], "positive": relevant["document"]})
    pairs = pairs.assign(negative=None, source=name).drop_duplicates(["query", "positive"])
    return draw_rows(pairs, p.max_pairs, random)
