"""What would make each artifact now, compared with what made the one that is there."""

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from embedlab.datasets.folder_handle import FolderHandleDataset
from embedlab.lineage.code import code_digest
from embedlab.lineage.differences import differences
from embedlab.lineage.reachable import reachable
from embedlab.records import Cause, content_digest, read_record

PARAMETERS = "params:"
# What `ProjectParameters.for_nodes` puts before the path of a part of a group.
PARTS = "parts."


class Lineage:
    """The nodes and entries of a project, with the present state of parameters, code and files.

    Args:
        nodes: all nodes, also those that this run leaves out.
        catalog: the catalog of the run.
        parameter_state: gives the state of the parameters at a dotted path, ready for JSON.
    """

    def __init__(
        self, nodes: Iterable[Node], catalog: DataCatalog, parameter_state: Callable[[str], Any]
    ):
        self.makers = {output: node for node in nodes for output in node.outputs}
        self._catalog = catalog
        self._parameter_state = cache(parameter_state)

    def path(self, entry: str) -> Path | None:
        """The file or folder of an entry; None for one that no node saves there."""
        dataset = self._catalog.get(entry, fallback_to_runtime_pattern=True)
        path = getattr(dataset, "_filepath", None)
        return None if path is None or isinstance(dataset, FolderHandleDataset) else Path(path)

    def cause(self, node: Node) -> Cause:
        """What determines the outputs of a node now."""
        names = [name for name in node.inputs if name.startswith(PARAMETERS)]
        paths = [name.removeprefix(PARAMETERS).removeprefix(PARTS) for name in names]
        parameters = {path: self._parameter_state(path) for path in paths}
        inputs = {name: self.digest(name) for name in self.data_inputs(node)}
        return Cause(node.name, code_digest(node.func), parameters, inputs)

    def digest(self, entry: str) -> str | None:
        """The digest of an entry's content; of one in memory, that of what determines it."""
        path = self.path(entry)
        if path is None:
            maker = self.makers.get(entry)
            return self.cause(maker).digest if maker else None
        if not path.exists():
            return None
        read_record(path)  # it knows the digests of files that have not changed since
        return content_digest(path)

    def data_inputs(self, node: Node) -> list[str]:
        """The inputs of a node but parameters, and folders that nodes extend while they run."""
        names = [name for name in node.inputs if not name.startswith(PARAMETERS)]
        return [name for name in names if self.path(name) is not None or name in self.makers]

    def ancestors(self, entry: str) -> set[str]:
        """An entry, and all entries that it is made from."""

        def inputs(name: str) -> list[str]:
            return self.data_inputs(self.makers[name]) if name in self.makers else []

        return reachable(entry, inputs)

    def changes(self, entries: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The changes since each entry was made; entries without a change are left out."""

        @cache
        def changes_of(entry: str) -> tuple[str, ...]:
            path, maker = self.path(entry), self.makers.get(entry)
            inputs = self.data_inputs(maker) if maker else []
            upstream = dict.fromkeys(change for name in inputs for change in changes_of(name))
            if path is None or not path.exists():
                return tuple(upstream)
            record = read_record(path)
            if record is None or record.cause is None:  # a user's file, whatever there was before
                return ()
            if content_digest(path) != record.digest:
                return (f"{entry} is not what node {record.cause.node} wrote",)
            if upstream or maker is None:
                return tuple(upstream)
            return differences(record.cause, self.cause(maker))

        return {entry: found for entry in entries if (found := changes_of(entry))}

    def changed_nodes(self, pipeline: Pipeline) -> Pipeline:
        """The nodes whose outputs are missing or would now be others, and what follows from them.

        Nodes without outputs, which only check, are always among them.
        """
        paths = {name: path for name in pipeline.all_outputs() if (path := self.path(name))}
        absent = {name for name, path in paths.items() if not path.exists()}
        made = absent | self.changes(paths).keys()
        needed: set[str] = set()
        chosen: list[Node] = []
        for node in pipeline.nodes:
            if not node.outputs or made & {*node.outputs, *node.inputs}:
                made |= set(node.outputs)
                chosen.append(node)
                needed |= set(node.inputs)
        for node in reversed(pipeline.nodes):  # what is not stored is made again for its readers
            if node not in chosen and needed & (set(node.outputs) - paths.keys()):
                chosen.append(node)
                needed |= set(node.inputs)
        return Pipeline(chosen)
