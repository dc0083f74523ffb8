"""The differences between what made an artifact and what would make it now, in words."""

from collections.abc import Iterator
from typing import Any

from embedlab.records import Cause

# Of values that are shown.
MAX_LENGTH = 60


def differences(before: Cause, now: Cause) -> tuple[str, ...]:
    """What has changed, each change as one phrase.

    Example:
        >>> before, now = (Cause("weigh", "", {"density": {"k": k}}, {}) for k in (20, 30))
        >>> differences(before, now)
        ('density.k: 20 -> 30',)
    """
    return tuple(dict.fromkeys(_differences(before, now)))


def _differences(before: Cause, now: Cause) -> Iterator[str]:
    for path, old, new in _changed(before.parameters, now.parameters, ""):
        yield f"{path}: {_shown(old)} -> {_shown(new)}"
    for name in sorted(before.inputs.keys() | now.inputs.keys()):
        old, new = (cause.inputs.get(name, "no input") for cause in (before, now))
        # The content of an input that is not there now cannot be compared.
        if old != new and (new is not None or old == "no input"):
            yield f"{name} changed"
    if before.code != now.code:
        yield f"the code of node {now.node} changed"


def _changed(before: Any, now: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Paths and values of the differences between two nested mappings."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            below = f"{path}.{key}" if path else key
            yield from _changed(before.get(key), now.get(key), below)
    # A model or file that is not there now cannot be compared.
    elif before != now and not (before is not None and now is None and _is_outside(path)):
        yield path, before, now


def _is_outside(path: str) -> bool:
    return not {"version", "contents"}.isdisjoint(path.split("."))


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…"
