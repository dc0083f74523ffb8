"""Checks of single fields of a row; each raises `BadRowError` with a reason to be counted."""

from typing import Any

from embedlab.sources.bad_rows import BadRowError
from embedlab.sources.records import Record


def checked_text(value: Any, what: str) -> str:
    """`value` when it is a text that is neither blank nor broken Unicode; `what` names it."""
    text = _unicode(value, what)
    if not text or text.isspace():
        raise BadRowError(f"{what} is empty")
    return text


def required_text(record: Record, field: str) -> str:
    """The text in `field`, unchanged."""
    return checked_text(_present(record, field), f"field '{field}'")


def required_string(record: Record, field: str) -> str:
    """The text in `field`, which may be blank."""
    return _unicode(_present(record, field), f"field '{field}'")


def optional_text(record: Record, field: str) -> str:
    """The text in `field`, or the empty string when it is absent or null."""
    value = record.fields.get(field)
    return "" if value is None else _unicode(value, f"field '{field}'")


def required_id(record: Record, field: str) -> str:
    """The identifier in `field`: a text or a whole number, given back as a text."""
    value = _present(record, field)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return checked_text(value, f"field '{field}'")


class UniqueIds:
    """Remembers identifiers and refuses the second of a kind."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def check(self, identifier: str) -> str:
        """`identifier`, when it is new."""
        if identifier in self.seen:
            raise BadRowError("duplicate id", identifier)
        self.seen.add(identifier)
        return identifier


def _present(record: Record, field: str) -> Any:
    value = record.fields.get(field)
    if value is None:
        raise BadRowError(f"field '{field}' is missing")
    return value


def _unicode(value: Any, what: str) -> str:
    """`value` when it is a text that UTF-8 can hold: JSON lets lone surrogates through."""
    if not isinstance(value, str):
        raise BadRowError(f"{what} is not text", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRowError(f"{what} is not valid Unicode") from None
    return value
