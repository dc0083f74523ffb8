"""Passages of text, and how they are read from rows with plain columns."""

from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from embedlab.sources.fields import UniqueIds, optional_text, required_id, required_text
from embedlab.sources.records import Record


class Passage(NamedTuple):
    """One document: its identifier, its title (or the empty string), its text."""

    id: str
    title: str
    text: str


# Gives None for a row that is sound but not wanted.
PassageReader = Callable[[Record], Passage | None]


def column_reader(
    label: str, text_column: str, title_column: str, id_column: str | None
) -> Callable[[Record], Passage]:
    """A reader of one source's rows; without an `id_column` they are numbered "<label>-<n>"."""
    numbers, ids = count(), UniqueIds()

    def read(record: Record) -> Passage:
        number, text = next(numbers), required_text(record, text_column)
        identifier = required_id(record, id_column) if id_column else f"{label}-{number}"
        return Passage(ids.check(identifier), optional_text(record, title_column), text)

    return read
