"""Queries with a positive and a negative, in the formats of MS MARCO, from the hub or files."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from embedlab.errors import InputError
from embedlab.parameters import Parameters, Seed
from embedlab.sources.bad_rows import BadRowError, BadRows, OnError, UnwantedRowError
from embedlab.sources.fields import checked_text, optional_text, required_text
from embedlab.sources.huggingface import HuggingFaceSource, open_rows
from embedlab.sources.records import Record, usable_rows
from embedlab.sources.sampling import draw_rows, hold_out

COLUMNS = ["query", "positive", "negative", "source"]


class MsMarcoParameters(Parameters):
    """Which pairs to train on, and which to hold out.

    Rows have the columns query, positive and (optional) negative, or MS MARCO's own
    (Bajaj et al. 2016, arXiv 1611.09268): query and passages {passage_text, is_selected}, where 1
    or true selects, 0 or false does not, and rows with anything else are left out and counted.

    Attributes:
        train: the training pairs.
        validation: the validation pairs; None holds out `validation_fraction` of `train`.
        validation_fraction: share of the queries to hold out, with all their pairs.
        split_ratio: share of `train` that is used, drawn with the seed.
        max_samples: upper bound on the number of pairs in that share, taken in order; None: all.
        seed: seed of both draws.
        on_error: `fail` on bad rows, or `skip` them.
    """

    source: Literal["msmarco"] = "msmarco"
    train: HuggingFaceSource = HuggingFaceSource(path="microsoft/ms_marco", name="v1.1")
    validation: HuggingFaceSource | None = None
    validation_fraction: float = Field(default=0.05, ge=0, lt=1)
    split_ratio: float = Field(default=1.0, gt=0, le=1)
    max_samples: int | None = Field(default=None, ge=1)
    seed: Seed = 42
    on_error: OnError = "fail"


def read_msmarco(p: MsMarcoParameters) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Read the pairs and split them into training and validation.

    Returns:
        Two tables with the columns query, positive, negative (missing where the row has none) and
        source, in the order read, and the report of the rows.

    Raises:
        InputError: for bad rows under `on_error: fail`, for files or datasets that cannot be read.
    """
    bad_rows, rng = BadRows(p.on_error), np.random.default_rng(p.seed)
    # Unless a share is drawn from all rows, reading may stop at the last pair that is needed.
    limit = p.max_samples if p.split_ratio == 1 else None
    pairs = pd.DataFrame(islice(_rows(p.train, bad_rows), limit), columns=COLUMNS)
    validation_rows = _rows(p.validation, bad_rows) if p.validation else []
    validation = pd.DataFrame(validation_rows, columns=COLUMNS)
    bad_rows.settle()
    if pairs.empty:
        raise InputError(f"train ({p.train.label}): no row is usable; give rows with a positive")
    share = max(1, round(p.split_ratio * len(pairs)))
    train = draw_rows(pairs, share, rng)[: p.max_samples]
    if p.validation is None:
        train, validation = hold_out(train, "query", p.validation_fraction, rng)
    counts = {"train_pairs": len(train), "validation_pairs": len(validation)}
    return train, validation, bad_rows.report() | counts


def _rows(source: HuggingFaceSource, bad_rows: BadRows) -> Iterator[tuple[str | None, ...]]:
    def parse(record: Record) -> tuple[str | None, ...]:
        query = required_text(record, "query")
        if "passages" in record.fields:
            return query, *_first_of_each(record.fields["passages"]), source.label
        negative = optional_text(record, "negative")
        positive = required_text(record, "positive")
        return query, positive, negative if negative.strip() else None, source.label

    return usable_rows(open_rows(source), parse, bad_rows)


def _first_of_each(passages: Any) -> tuple[str, str | None]:
    """The first passage that is selected, and the first that is not or None."""
    fields = passages if isinstance(passages, dict) else {}
    texts, selected = fields.get("passage_text"), fields.get("is_selected")
    if not (isinstance(texts, list) and isinstance(selected, list) and len(texts) == len(selected)):
        raise BadRowError("field 'passages' has no equally long passage_text and is_selected")
    # Nobody has judged the passages of v2.1's test split: they have -1.
    if any(flag not in (0, 1) for flag in selected):
        raise UnwantedRowError("is_selected is neither 0 nor 1")
    first: dict[bool, str] = {}
    for text, flag in zip(texts, selected, strict=True):
        first.setdefault(flag == 1, checked_text(text, "a passage_text"))
    if True not in first:
        raise UnwantedRowError("no passage is selected")
    return first[True], first.get(False)
