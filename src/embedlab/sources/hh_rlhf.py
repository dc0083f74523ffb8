"""Preference pairs from HH-RLHF's dialogues, or from rows that hold prefix and responses apart."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pandas as pd

from embedlab.parameters import Parameters
from embedlab.sources.bad_rows import BadRowError, BadRows, OnError
from embedlab.sources.fields import checked_text, required_text
from embedlab.sources.huggingface import HuggingFaceSources, open_rows
from embedlab.sources.prefixes import Message, prefix_id
from embedlab.sources.records import Record, usable_rows

ROLES = {"Human": "user", "Assistant": "assistant"}
TURN = re.compile(r"(?:\A|\n\n)(Human|Assistant):")
OPEN_TURN = re.compile(r"\n\nAssistant:\s*\Z")
DEFAULT_SRC_COLUMN = "src"
COLUMNS = ["prefix", "chosen", "rejected", "src", "prefix_id"]


class HhRlhfParameters(Parameters):
    """Which datasets of preference pairs to read, one after the other.

    Rows are HH-RLHF's (Bai et al. 2022, arXiv 2204.05862), where `chosen` and `rejected` are whole
    dialogues; or `chosen` and `rejected` are responses to a `prefix` {messages} or `prompt` (text
    or dialogue). Dialogues that repeat the prompt are read as HH-RLHF's.

    Attributes:
        data: the datasets; each entry is one split of one dataset.
        prompt_columns: columns whose texts, joined by newlines, are the prompt; () reads the rows
            as described above.
        src_column: the column that names a row's source; rows without the column `src` have the
            dataset's name as their source.
        on_error: `fail` on bad rows, or `skip` them; the published HH-RLHF has some.
    """

    source: Literal["hh_rlhf"] = "hh_rlhf"
    data: HuggingFaceSources
    prompt_columns: tuple[str, ...] = ()
    src_column: str = DEFAULT_SRC_COLUMN
    on_error: OnError = "fail"


def read_preference_pairs(p: HhRlhfParameters) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read all the datasets into one table.

    Returns:
        Columns prefix {messages}, chosen, rejected, src (from the row, else the dataset's name) and
        prefix_id, in the order read; and the report of the rows.

    Raises:
        InputError: for bad rows under `on_error: fail`, for files or datasets that cannot be read.
    """
    bad_rows = BadRows(p.on_error)
    rows: list[tuple[Any, ...]] = []
    for source in p.data:
        rows += usable_rows(open_rows(source), _parser(source.label, p), bad_rows)
    bad_rows.settle()
    return pd.DataFrame(rows, columns=COLUMNS), bad_rows.report()


def split_dialogue(dialogue: str) -> list[Message]:
    r"""Split a dialogue into messages, at "Human:" or "Assistant:" after a blank line.

    Example:
        >>> split_dialogue("Human: Hi.\n\nAssistant: Hello!")
        [{'role': 'user', 'content': 'Hi.'}, {'role': 'assistant', 'content': 'Hello!'}]
    """
    before, *turns = TURN.split(dialogue.strip())
    if before or not turns:
        raise BadRowError("not a Human:/Assistant: dialogue", dialogue)
    return [
        Message(role=ROLES[speaker], content=checked_text(text.strip(), "a turn of the dialogue"))
        for speaker, text in zip(turns[::2], turns[1::2], strict=True)
    ]


def _parser(label: str, p: HhRlhfParameters) -> Callable[[Record], tuple[Any, ...]]:
    def parse(record: Record) -> tuple[Any, ...]:
        messages, chosen, rejected = _prefix_and_responses(record, p.prompt_columns)
        if chosen == rejected:
            raise BadRowError("chosen and rejected are the same")
        unnamed = p.src_column == DEFAULT_SRC_COLUMN and p.src_column not in record.fields
        src = label if unnamed else required_text(record, p.src_column)
        return {"messages": messages}, chosen, rejected, src, prefix_id(messages)

    return parse


def _prefix_and_responses(
    record: Record, prompt_columns: Sequence[str]
) -> tuple[list[Message], str, str]:
    """The messages of the prefix, then the chosen and the rejected response."""
    chosen, rejected = _text(record, "chosen"), _text(record, "rejected")
    given = _given_prefix(record, prompt_columns)
    if given and not any(_repeats(given, response) for response in (chosen, rejected)):
        return given, chosen, rejected
    prefix, chosen = _last_response(chosen, "chosen")
    rejected_prefix, rejected = _last_response(rejected, "rejected")
    if prefix != rejected_prefix:
        raise BadRowError("chosen and rejected differ before their last responses")
    return prefix, chosen, rejected


def _given_prefix(record: Record, prompt_columns: Sequence[str]) -> list[Message] | None:
    """The messages that stand beside the responses, if there are any."""
    if not prompt_columns and "prefix" in record.fields:
        return _checked_messages(record.fields["prefix"])
    if not prompt_columns and "prompt" not in record.fields:
        return None
    prompt = "\n".join(_text(record, column) for column in prompt_columns or ["prompt"])
    if _is_dialogue(prompt):
        return split_dialogue(OPEN_TURN.sub("", prompt))
    return [Message(role="user", content=prompt)]


def _text(record: Record, field: str) -> str:
    return _unix(required_text(record, field))


def _unix(text: str) -> str:
    """The text with line feeds instead of Windows' line ends, as turns are told apart by."""
    return text.replace("\r\n", "\n")


def _is_dialogue(text: str) -> bool:
    return text.lstrip().startswith("Human:")


def _repeats(prefix: list[Message], response: str) -> bool:
    """Whether a response is a whole dialogue, which has the messages of the prefix again."""
    repeated = {message["content"].strip() in response for message in prefix}
    if not _is_dialogue(response) or True not in repeated:
        return False
    if False in repeated:
        raise BadRowError("a response repeats some messages of the prompt and lacks others")
    return True


def _last_response(dialogue: str, field: str) -> tuple[list[Message], str]:
    """All messages but the last, and the text of the last, which is the assistant's."""
    *prefix, last = split_dialogue(dialogue)
    if last["role"] != "assistant" or not prefix:
        raise BadRowError(f"the dialogue in '{field}' does not end in a response to the user")
    return prefix, last["content"]


def _checked_messages(prefix: Any) -> list[Message]:
    messages = prefix.get("messages") if isinstance(prefix, dict) else None
    if not isinstance(messages, list) or not messages:
        raise BadRowError("field 'prefix' has no list of messages", prefix)
    if not all(isinstance(message, dict) for message in messages):
        raise BadRowError("a message of 'prefix' is not an object", messages)
    return [
        Message(
            role=checked_text(message.get("role"), "the role of a message"),
            content=_unix(checked_text(message.get("content"), "a message")),
        )
        for message in messages
    ]
