"""Counts of the rows of a data source: kept, left out on purpose, or bad."""

import logging
from collections import Counter
from typing import Any, Literal

from embedlab.errors import InputError

logger = logging.getLogger(__name__)

OnError = Literal["fail", "skip"]
MAX_EXAMPLES = 3
MAX_SHOWN_CHARACTERS = 80


class BadRowError(Exception):
    """A row that cannot be used: rows are counted by `reason`, examples show the `value`."""

    def __init__(self, reason: str, value: Any = None) -> None:
        super().__init__(reason)
        self.reason, self.value = reason, value

    def __str__(self) -> str:
        """The reason, with the shortened value in brackets."""
        if self.value is None:
            return self.reason
        text = repr(self.value)
        short = text[:MAX_SHOWN_CHARACTERS] + "..." * (len(text) > MAX_SHOWN_CHARACTERS)
        return f"{self.reason} ({short})"


class UnwantedRowError(Exception):
    """A sound row that the parameters exclude; its message is the reason that is counted."""


class BadRows:
    """Counts of the rows that were kept, left out or bad, filled in by `usable_rows`.

    Args:
        on_error: with `fail`, `settle` raises for bad rows; with `skip`, it logs a warning.
    """

    def __init__(self, on_error: OnError) -> None:
        self.on_error = on_error
        self.kept = 0
        self.left_out: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.examples: list[str] = []

    @property
    def skipped(self) -> int:
        """The number of bad rows."""
        return self.reasons.total()

    @property
    def read(self) -> int:
        """The number of all rows."""
        return self.kept + self.left_out.total() + self.skipped

    def add(self, where: str, error: BadRowError) -> None:
        """Count a bad row; the first three become examples, with their file and line."""
        self.reasons[error.reason] += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(f"{where}: {error}")

    def refuse(self, where: str, error: BadRowError) -> None:
        """Count a row as bad that had been kept."""
        self.kept -= 1
        self.add(where, error)

    def settle(self, remedy: str = "repair them or set on_error: skip") -> None:
        """Raise or warn about bad rows, once all rows are read; `remedy` ends the error message.

        Raises:
            InputError: for any bad row under `fail`, or if no row is usable.
        """
        if self.skipped and self.on_error == "fail":
            counts = f"bad rows: {self.skipped} of {self.read}; {remedy}"
            raise InputError(f"{'; '.join(self.examples)} ({counts})")
        if not self.kept:
            raise InputError(f"none of the {self.read} rows is usable: {self._causes()}")
        if self.skipped:
            logger.warning("skipped %d of %d rows: %s", self.skipped, self.read, self._causes())

    def report(self) -> dict[str, Any]:
        """Counts of rows read, kept, left out and skipped, with reasons and the first examples."""
        return {
            "read": self.read,
            "kept": self.kept,
            "left_out": dict(self.left_out),
            "skipped": self.skipped,
            "reasons": dict(self.reasons),
            "examples": list(self.examples),
        }

    def _causes(self) -> str:
        counts = (self.reasons + self.left_out).most_common()
        causes = ", ".join(f"{reason}: {count}" for reason, count in counts)
        first = f" (first: {self.examples[0]})" if self.examples else ""
        return f"{causes or 'there are none'}{first}"
