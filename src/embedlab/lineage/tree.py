"""The tree of artifacts that led to one, as text."""

from collections.abc import Iterator

from embedlab.lineage.graph import Lineage
from embedlab.records import read_record


def lineage_tree(lineage: Lineage, entry: str) -> list[str]:
    """A line for an entry, then indented lines for what it is made from; each entry once."""
    shown: set[str] = set()
    changes = lineage.changes(lineage.ancestors(entry))

    def lines(name: str, depth: int) -> Iterator[str]:
        again = name in shown
        shown.add(name)
        yield f"{'  ' * depth}{_line(lineage, name, changes.get(name, ()))}{' …' * again}"
        maker = lineage.makers.get(name)
        for below in lineage.data_inputs(maker) if maker and not again else []:
            yield from lines(below, depth + 1)

    return list(lines(entry, 0))


def _line(lineage: Lineage, name: str, changes: tuple[str, ...]) -> str:
    """The name of an entry, who made it when, its digest, and why it is stale."""
    path, maker = lineage.path(name), lineage.makers.get(name)
    stale = f"  STALE: {'; '.join(changes)}" if changes else ""
    if path is None:
        return f"{name}  in memory, by {maker.name if maker else 'nothing'}{stale}"
    if not path.exists():
        return f"{name}  not made yet{stale}"
    record = read_record(path)
    if record is None or record.cause is None:
        return f"{name}  not made by a run{stale}"
    return f"{name}  {record.made_at}  {record.digest[:12]}  by {record.cause.node}{stale}"
