"""What becomes of rows that cannot be used: all of them are looked at, then one line says it."""

import logging
from collections import Counter
from typing import Any, Literal

from embedlab.errors import InputError

logger = logging.getLogger(__name__)

OnError = Literal["fail", "skip"]
NAMED = 3
SHOWN_CHARACTERS = 80


class BadRowError(Exception):
    """One row cannot be used: `reason` is what is counted, `value` what the example shows."""

    def __init__(self, reason: str, value: Any = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.value = value


class BadRows:
    """The tally of one reading: rows kept, rows left out on purpose, bad rows by reason.

    Args:
        on_error: `fail` makes `settle` raise when there are bad rows; `skip` makes it warn.
    """

    def __init__(self, on_error: OnError) -> None:
        self.on_error = on_error
        self.kept = 0
        self.left_out: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.examples: list[str] = []

    @property
    def skipped(self) -> int:
        """How many bad rows there are."""
        return self.reasons.total()

    @property
    def read(self) -> int:
        """How many rows were looked at."""
        return self.kept + self.left_out.total() + self.skipped

    def add(self, where: str, reason: str, value: Any = None) -> None:
        """Count one bad row; the first three are remembered with their place."""
        self.reasons[reason] += 1
        if len(self.examples) < NAMED:
            self.examples.append(f"{where}: {reason}" + ("" if value is None else _shown(value)))

    def leave_out(self, reason: str) -> None:
        """Count one sound row that the parameters do not want."""
        self.left_out[reason] += 1

    def settle(self) -> None:
        """Judge the whole reading; to be called once everything is read.

        Raises:
            InputError: for any bad row under `fail`, or when no row is left.
        """
        if self.skipped and self.on_error == "fail":
            raise InputError(
                f"{'; '.join(self.examples)} (bad rows: {self.skipped} of {self.read}; "
                "repair them or set on_error: skip)"
            )
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
        """Each reason with its count, the first example last."""
        counts = (self.reasons + self.left_out).most_common()
        causes = ", ".join(f"{reason}: {count}" for reason, count in counts)
        first = f" (first: {self.examples[0]})" if self.examples else ""
        return f"{causes or 'there are none'}{first}"


def _shown(value: Any) -> str:
    """A value in brackets, on one line and not too long."""
    text = repr(value)
    return f" ({text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + '...'})"
