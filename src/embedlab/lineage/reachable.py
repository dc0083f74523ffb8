"""What can be reached in a graph."""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)


def reachable(start: Item, neighbours: Callable[[Item], Iterable[Item]]) -> set[Item]:
    """The start, and all items that lead on from it.

    Example:
        >>> sorted(reachable(3, lambda number: [number - 1] if number else []))
        [0, 1, 2, 3]
    """
    found: set[Item] = set()
    waiting = [start]
    while waiting:
        item = waiting.pop()
        if item not in found:
            found.add(item)
            waiting += neighbours(item)
    return found
