"""Query, positive, negative: MS MARCO's shapes, from the hub or from local files."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from embedlab.errors import InputError
from embedlab.parameters import Parameters, Seed
from embedlab.sources.bad_rows import BadRowError, BadRows, OnError
from embedlab.sources.fields import checked_text, optional_text, required_text
from embedlab.sources.hold_out import hold_out_queries
from embedlab.sources.huggingface import HuggingFaceSource, open_rows
from embedlab.sources.records import Record, usable_rows

COLUMNS = ["query", "positive", "negative", "source"]


class MsMarcoParameters(Parameters):
    """Which pairs to train on, and which to hold out.

    Rows have the columns query, positive and (optional) negative, or MS MARCO's own
    (Bajaj et al. 2016, arXiv 1611.09268): query and passages {passage_text, is_selected}.

    Attributes:
        train: where the pairs come from.
        validation: where the validation pairs come from; None holds out `validation_fraction`.
        validation_fraction: share of the queries held out, with all their pairs.
        split_ratio: share of `train` that is used, drawn with the seed.
        max_samples: at most so many pairs of that share, the first ones; None takes all.
        seed: seed of both draws.
        on_error: what to do about bad rows.
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
    """Read the pairs and part them into training and validation.

    Returns:
        Two tables with the columns query, positive, negative (missing where the row has none) and
        source, in the order read, and the reading's report.

    Raises:
        InputError: for bad rows under `on_error: fail`, for files or datasets that cannot be read.
    """
    bad_rows, random = BadRows(p.on_error), np.random.default_rng(p.seed)
    # Without a draw from the whole there is no need to read past the last pair wanted.
    last = p.max_samples if p.split_ratio == 1 else None
    pairs = pd.DataFrame(islice(_rows(p.train, bad_rows), last), columns=COLUMNS)
    validation = pd.DataFrame(
        _rows(p.validation, bad_rows) if p.validation else [], columns=COLUMNS
    )
    bad_rows.settle()
    if pairs.empty:
        raise InputError(f"train ({p.train.label}): no row is usable; give rows with a positive")
    train = _drawn(pairs, p.split_ratio, random)[: p.max_samples]
    if p.validation is None:
        train, validation = hold_out_queries(train, p.validation_fraction, random)
    counts = {"train_pairs": len(train), "validation_pairs": len(validation)}
    return (
        train.reset_index(drop=True),
        validation.reset_index(drop=True),
        (bad_rows.report() | counts),
    )


def _rows(source: HuggingFaceSource, bad_rows: BadRows) -> Iterator[tuple[str | None, ...]]:
    def parse(record: Record) -> tuple[str | None, ...] | None:
        query = required_text(record, "query")
        if "passages" not in record.fields:
            negative = optional_text(record, "negative")
            positive = required_text(record, "positive")
            return query, positive, negative if negative.strip() else None, source.label
        selected, other = _first_of_each(record.fields["passages"])
        if selected is None:
            bad_rows.leave_out("no passage is selected")
            return None
        return query, selected, other, source.label

    return usable_rows(open_rows(source, bad_rows), parse, bad_rows)


def _first_of_each(passages: Any) -> tuple[str | None, str | None]:
    """The first passage that is selected and the first that is not, None where there is none."""
    fields = passages if isinstance(passages, dict) else {}
    texts, selected = fields.get("passage_text"), fields.get("is_selected")
    if not (isinstance(texts, list) and isinstance(selected, list) and len(texts) == len(selected)):
        raise BadRowError("field 'passages' has no equally long passage_text and is_selected")
    flagged = [
        (checked_text(text, "a passage_text"), flag)
        for text, flag in zip(texts, selected, strict=True)
    ]
    positives = (text for text, flag in flagged if flag)
    negatives = (text for text, flag in flagged if not flag)
    return next(positives, None), next(negatives, None)


def _drawn(pairs: pd.DataFrame, ratio: float, random: np.random.Generator) -> pd.DataFrame:
    """A share of the rows (at least one), their order kept."""
    size = max(1, round(ratio * len(pairs)))
    return pairs.iloc[np.sort(random.permutation(len(pairs))[:size])]
