"""Conversation prefixes: their text, stable identifiers (of responses too), de-duplication."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, TypedDict

import pandas as pd

PREFIX_ID_LENGTH = 16
PREFIX_ID_SCHEME = f"first {PREFIX_ID_LENGTH} hex digits of SHA-256 of the first user message"
RESPONSE_ID_LENGTH = 32
RESPONSE_ID_SCHEME = (
    f"first {RESPONSE_ID_LENGTH} hex digits of SHA-256 of the JSON list [prefix text, response]"
)


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str


def first_user_message(messages: Sequence[Message]) -> str:
    """The content of the first message whose role is user, else of the first message."""
    return next((m["content"] for m in messages if m["role"] == "user"), messages[0]["content"])


def prefix_id(messages: Sequence[Message]) -> str:
    """A stable identifier: the first 16 hexadecimal digits of SHA-256 of the first user message."""
    digest = hashlib.sha256(first_user_message(messages).encode())
    return digest.hexdigest()[:PREFIX_ID_LENGTH]


def prefix_text(prefix: dict[str, Any]) -> str:
    """The text that is embedded for a prefix: the contents of its messages, a line each."""
    return "\n".join(message["content"] for message in prefix["messages"])


def response_id(prefix: str, response: str) -> str:
    """A stable identifier of a response to a prefix, given as its text (`prefix_text`).

    It is the first 32 hexadecimal digits of SHA-256 of the JSON list of both texts.
    """
    digest = hashlib.sha256(json.dumps([prefix, response]).encode())
    return digest.hexdigest()[:RESPONSE_ID_LENGTH]


def unique_prefixes(preference_pairs: pd.DataFrame) -> pd.DataFrame:
    """Keep the first prefix for each first user message, in order.

    Args:
        preference_pairs: columns prefix {messages} and prefix_id, one row a pair.

    Returns:
        Columns id and prefix, one row a distinct prefix.
    """
    first = preference_pairs.drop_duplicates("prefix_id")
    return pd.DataFrame({"id": first["prefix_id"], "prefix": first["prefix"]}).reset_index(
        drop=True
    )
