"""The documents among which training searches: distinct texts, identified by their content."""

import hashlib
from collections.abc import Iterable

import pandas as pd

TEXT_ID_LENGTH = 32
TEXT_ID_SCHEME = f"first {TEXT_ID_LENGTH} hex digits of SHA-256 of the text"


def text_id(text: str) -> str:
    """A stable identifier: see `TEXT_ID_SCHEME`."""
    return hashlib.sha256(text.encode()).hexdigest()[:TEXT_ID_LENGTH]


def distinct_documents(texts: Iterable[str]) -> pd.DataFrame:
    """The distinct texts in order of appearance: columns id (see `text_id`) and text."""
    distinct = list(dict.fromkeys(texts))
    return pd.DataFrame({"id": list(map(text_id, distinct)), "text": distinct}, dtype=object)


def documents_of_pairs(train: pd.DataFrame, validation: pd.DataFrame) -> pd.DataFrame:
    """The positives and negatives of training and then of validation pairs, each once.

    Negatives may be missing. The columns are id and text.
    """
    pairs = pd.concat([train, validation])
    texts = pairs.reindex(columns=["positive", "negative"]).to_numpy(object).ravel()
    return distinct_documents(texts[pd.notna(texts)])
