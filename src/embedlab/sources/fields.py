"""Checks of single fields of a row; each raises `BadRowError` for a value that it refuses."""

import math
from typing import Any

from embedlab.sources.bad_rows import BadRowError
from embedlab.sources.records import Record


def checked_text(value: Any, what: str) -> str:
    """Return `value` if it is valid Unicode text that is not blank; errors call it `what`."""
    text = _unicode(value, what)
    if not text.strip():
        raise BadRowError(f"{what} is empty")
    return text


def required_text(record: Record, field: str) -> str:
    """The text in `field`, unchanged; it must not be blank.

    Example:
        >>> required_text(Record("a.jsonl:1", {"query": "Why?"}), "query")
        'Why?'
        >>> required_text(Record("a.jsonl:2", {"query": 7}), "query")
        Traceback (most recent call last):
        embedlab.sources.bad_rows.BadRowError: field 'query' is not text (7)
    """
    return checked_text(_present(record, field), f"field '{field}'")


def required_string(record: Record, field: str) -> str:
    """The text in `field`, which may be blank."""
    return _unicode(_present(record, field), f"field '{field}'")


def optional_text(record: Record, field: str) -> str:
    """The text in `field`, or the empty string if it is absent or null."""
    value = record.fields.get(field)
    return "" if value is None else _unicode(value, f"field '{field}'")


def required_id(record: Record, field: str) -> str:
    """The identifier in `field`, a text or an integer, as a text.

    Identifiers are texts everywhere: 7 in one file is the "7" of another. A number with a fraction
    is refused, even 7.0, because another file may write it as 7 or as "7.0".

    Example:
        >>> required_id(Record("corpus.jsonl:1", {"_id": 7}), "_id")
        '7'
    """
    value = _present(record, field)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return checked_text(value, f"field '{field}'")


def new_id(identifier: str, known: set[str]) -> str:
    """Return `identifier`, which must not be in `known`, and add it there."""
    if identifier in known:
        raise BadRowError("duplicate id", identifier)
    known.add(identifier)
    return identifier


def number_of(value: Any) -> float:
    """The number that a cell holds, or NaN if it holds none; Python's "1_000" is none.

    Example:
        >>> number_of("1.50"), number_of("1_0")
        (1.5, nan)
    """
    text = str(value)
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def _present(record: Record, field: str) -> Any:
    value = record.fields.get(field)
    if value is None:
        raise BadRowError(f"field '{field}' is missing")
    return value


def _unicode(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise BadRowError(f"{what} is not text", value)
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON may escape lone surrogates, which UTF-8 cannot store
        raise BadRowError(f"{what} is not valid Unicode") from None
    return value
