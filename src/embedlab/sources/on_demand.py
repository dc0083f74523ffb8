"""Items to embed on demand: JSON lines of prefixes or prompts with ids."""

from pathlib import Path

from embedlab.sources.bad_rows import BadRowError, BadRows, OnError
from embedlab.sources.fields import checked_text, new_id, required_id, required_text
from embedlab.sources.prefixes import prefix_text
from embedlab.sources.records import Record, read_records, usable_rows


def read_items(path: Path, on_error: OnError) -> tuple[list[str], list[str]]:
    """The `id` of each item, and its text: of `prefix` (its messages joined) or `prompt`.

    Raises:
        InputError: under `fail`, naming the first bad rows; if no row is usable.
    """
    bad_rows, known = BadRows(on_error), set[str]()

    def parse(record: Record) -> tuple[str, str]:
        return new_id(required_id(record, "id"), known), _text(record)

    items = list(usable_rows(read_records(path), parse, bad_rows))
    bad_rows.settle()
    return [identifier for identifier, _ in items], [text for _, text in items]


def _text(record: Record) -> str:
    prefix = record.fields.get("prefix")
    if prefix is None:
        return required_text(record, "prompt")
    try:
        return checked_text(prefix_text(prefix), "the text of 'prefix'")
    except (KeyError, TypeError):
        raise BadRowError("field 'prefix' is not {messages: [{role, content}]}") from None
