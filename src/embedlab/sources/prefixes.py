"""Prefixes of conversations: their text, their identifiers and those of responses."""

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


def prefix_id(messages: Sequence[Message]) -> str:
    """A stable identifier of a prefix: see `PREFIX_ID_SCHEME`.

    Without a user message, the first message is hashed.

    Example:
        >>> prefix_id([Message(role="system", content="!"), Message(role="user", content="?")])
        '8a8de823d5ed3e12'
    """
    users = (message["content"] for message in messages if message["role"] == "user")
    content = next(users, messages[0]["content"])
    return hashlib.sha256(content.encode()).hexdigest()[:PREFIX_ID_LENGTH]


def prefix_text(prefix: dict[str, Any]) -> str:
    """The text that is embedded for a prefix: the contents of its messages, joined by newlines."""
    return "\n".join(message["content"] for message in prefix["messages"])


def response_id(prefix: str, response: str) -> str:
    """A stable identifier of a response to a prefix text: see `RESPONSE_ID_SCHEME`."""
    digest = hashlib.sha256(json.dumps([prefix, response]).encode())
    return digest.hexdigest()[:RESPONSE_ID_LENGTH]


def unique_prefixes(preference_pairs: pd.DataFrame) -> pd.DataFrame:
    """The first prefix {messages} with each prefix_id, in order: columns id and prefix."""
    first = preference_pairs.drop_duplicates("prefix_id", ignore_index=True)
    return pd.DataFrame({"id": first["prefix_id"], "prefix": first["prefix"]})
