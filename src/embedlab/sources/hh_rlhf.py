"""Preference pairs: HH-RLHF's dialogues, or rows that have the prefix apart already."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pandas as pd

from embedlab.parameters import Parameters
from embedlab.sources.bad_rows import BadRowError, BadRows, OnError
from embedlab.sources.fields import checked_text, required_text
from embedlab.sources.huggingface import HuggingFaceSource, HuggingFaceSources, open_rows
from embedlab.sources.prefixes import Message, prefix_id
from embedlab.sources.records import Record, usable_rows

ROLES = {"Human": "user", "Assistant": "assistant"}
TURN = re.compile(r"(?:\A|\n\n)(Human|Assistant):")
DEFAULT_SRC_COLUMN = "src"
COLUMNS = ["prefix", "chosen", "rejected", "src", "prefix_id"]


class HhRlhfParameters(Parameters):
    """Which preference pairs to read, one set after the other.

    Rows are HH-RLHF's (Bai et al. 2022, arXiv 2204.05862): `chosen` and `rejected` are whole
    dialogues; or they hold `prefix` {messages} or `prompt` (a text) beside the two answers.

    Attributes:
        data: the sets; each entry is one split of one dataset.
        prompt_columns: columns whose texts, a line each, are the prompt; none takes the rows as
            above.
        src_column: the column of a row's source; without `src`, that is the set's name.
        on_error: what to do about bad rows; the published HH-RLHF has some.
    """

    source: Literal["hh_rlhf"] = "hh_rlhf"
    data: HuggingFaceSources
    prompt_columns: tuple[str, ...] = ()
    src_column: str = DEFAULT_SRC_COLUMN
    on_error: OnError = "fail"


def read_preference_pairs(p: HhRlhfParameters) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read all the sets into one table.

    Returns:
        Columns prefix {messages}, chosen, rejected, src (the row's own, else the set's name) and
        prefix_id, in the order read; and the reading's report.

    Raises:
        InputError: for bad rows under `on_error: fail`, for files or datasets that cannot be read.
    """
    bad_rows = BadRows(p.on_error)
    rows = [row for source in p.data for row in _rows(source, p, bad_rows)]
    bad_rows.settle()
    return pd.DataFrame(rows, columns=COLUMNS), bad_rows.report()


def split_dialogue(dialogue: str) -> list[Message]:
    """Split turns that start with "Human:" or "Assistant:" after a blank line into messages."""
    before, *turns = TURN.split(dialogue.strip())
    if before or not turns:
        raise BadRowError("not a Human:/Assistant: dialogue", dialogue)
    return [
        Message(role=ROLES[speaker], content=checked_text(text.strip(), "a turn of the dialogue"))
        for speaker, text in zip(turns[::2], turns[1::2], strict=True)
    ]


def _rows(
    source: HuggingFaceSource, p: HhRlhfParameters, bad_rows: BadRows
) -> Iterator[tuple[Any, ...]]:
    def parse(record: Record) -> tuple[Any, ...]:
        messages, chosen, rejected = _parts(record, p.prompt_columns)
        if chosen == rejected:
            raise BadRowError("chosen and rejected are the same")
        unnamed = p.src_column == DEFAULT_SRC_COLUMN and p.src_column not in record.fields
        src = source.label if unnamed else required_text(record, p.src_column)
        return {"messages": messages}, chosen, rejected, src, prefix_id(messages)

    return usable_rows(open_rows(source, bad_rows), parse, bad_rows)


def _parts(record: Record, prompt_columns: Sequence[str]) -> tuple[list[Message], str, str]:
    """The prefix's messages and the two answers, whatever the row's shape."""
    chosen, rejected = required_text(record, "chosen"), required_text(record, "rejected")
    if prompt_columns:
        return _prompt(record, prompt_columns), chosen, rejected
    if "prefix" in record.fields:
        return _messages(record.fields["prefix"]), chosen, rejected
    if "prompt" in record.fields:
        return _prompt(record, ["prompt"]), chosen, rejected
    prefix, chosen = _last_answer(chosen, "chosen")
    rejected_prefix, rejected = _last_answer(rejected, "rejected")
    if prefix != rejected_prefix:
        raise BadRowError("chosen and rejected differ before their last answers")
    return prefix, chosen, rejected


def _prompt(record: Record, columns: Sequence[str]) -> list[Message]:
    """One message of the user: the texts of these columns, a line each."""
    content = "\n".join(required_text(record, column) for column in columns)
    return [Message(role="user", content=content)]


def _last_answer(dialogue: str, field: str) -> tuple[list[Message], str]:
    """A dialogue's messages before its last, and the text of the last, the assistant's."""
    *prefix, last = split_dialogue(dialogue)
    if last["role"] != "assistant" or not prefix:
        raise BadRowError(f"the dialogue in '{field}' does not end in an answer to the user")
    return prefix, last["content"]


def _messages(prefix: Any) -> list[Message]:
    """The messages of a structured prefix, checked."""
    messages = prefix.get("messages") if isinstance(prefix, dict) else None
    if not isinstance(messages, list) or not messages:
        raise BadRowError("field 'prefix' has no list of messages", prefix)
    if not all(isinstance(message, dict) for message in messages):
        raise BadRowError("a message of 'prefix' is not an object", messages)
    return [
        Message(
            role=checked_text(message.get("role"), "the role of a message"),
            content=checked_text(message.get("content"), "a message"),
        )
        for message in messages
    ]
