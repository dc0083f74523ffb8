"""The documents among which training searches: distinct texts, identified by their content."""

import hashlib
from collections.abc import Iterable

import pandas as pd
import pyarrow as pa

from embedlab.text_table import repeated_rows, spill, without_rows

TEXT_ID_LENGTH = 32
TEXT_ID_SCHEME = f"first {TEXT_ID_LENGTH} hex digits of SHA-256 of the text"


def text_id(text: str) -> str:
    """A stable identifier: see `TEXT_ID_SCHEME`."""
    return hashlib.sha256(text.encode()).hexdigest()[:TEXT_ID_LENGTH]


def distinct_documents(texts: Iterable[str]) -> pa.Table:
    """The distinct texts in order of appearance: columns id (see `text_id`) and text."""
    documents = spill(((text_id(text), text) for text in texts), ["id", "text"])
    return without_rows(documents, repeated_rows(documents["id"]))


def documents_of_pairs(train: pd.DataFrame, validation: pd.DataFrame) -> pa.Table:
    """The positives and negatives of training and then of validation pairs, each once.

    Negatives may be missing. The columns are id and text.
    """
    pairs = pd.concat([train, validation])
    texts = pairs.reindex(columns=["positive", "negative"]).to_numpy(object).ravel()
    return distinct_documents(texts[pd.notna(texts)])
