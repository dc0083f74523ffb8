"""The hook that records what artifacts are made from, and checks those that a run reads."""

import logging
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from embedlab import project_parameters
from embedlab.datasets.folder_handle import ResumableFolderDataset
from embedlab.digests import value_digest
from embedlab.errors import InputError
from embedlab.files import set_witness
from embedlab.lineage.graph import Lineage
from embedlab.lineage.project import mending_command, project_lineage
from embedlab.records import Cause, read_record, write_record

logger = logging.getLogger(__name__)

# Of one message.
MAX_CHANGES = 3
LIBRARIES = ("torch", "transformers", "sentence-transformers", "numpy", "faiss-cpu", "bm25s")


class LineageHook:
    """Writes a record beside each artifact; refuses to read artifacts that are stale."""

    _lineage: Lineage
    _catalog: DataCatalog
    _cause: Cause | None = None

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Check the artifacts that no node of the run makes.

        Raises:
            InputError: naming one that is stale, what has changed, and the command that mends all.
        """
        self._catalog, self._lineage = catalog, project_lineage(catalog)
        self._cause = None
        on_stale = project_parameters.current().lineage.on_stale
        changes = {} if on_stale == "ignore" else self._lineage.changes(sorted(pipeline.inputs()))
        if not changes:
            return
        command = mending_command(self._lineage, list(changes), run_params)
        line = f"{_stale(changes)}; run `{command}`"
        if on_stale == "error":
            raise InputError(line)
        logger.warning(line)

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        """Find what determines a node's outputs before its first input is loaded."""
        if self._cause is None or self._cause.node != node.name:
            set_witness(None)
            self._record_users_files(node)
            self._cause = self._lineage.cause(node)
        dataset = self._catalog[dataset_name]
        if isinstance(dataset, ResumableFolderDataset):
            dataset.made_from = value_digest([self._cause.code, self._cause.inputs])

    @hook_impl
    def before_dataset_saved(self) -> None:
        """Have a record written with the node's outputs."""
        set_witness(partial(_record, self._cause))

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Record nothing more."""
        set_witness(None)

    on_pipeline_error = after_pipeline_run

    def _record_users_files(self, node: Node) -> None:
        """Record inputs that no run has made as the user's."""
        for entry in self._lineage.data_inputs(node):
            path = self._lineage.path(entry)
            if path is not None and path.exists() and read_record(path) is None:
                write_record(path, path, None, {})


def _stale(changes: dict[str, tuple[str, ...]]) -> str:
    """The first stale entry with what has changed, and how many there are."""
    entry, reasons = next(iter(changes.items()))
    more = f" and {len(reasons) - MAX_CHANGES} more" * (len(reasons) > MAX_CHANGES)
    all_ = f", {len(changes)} stale inputs in all" * (len(changes) > 1)
    return f"{entry} is stale ({'; '.join(reasons[:MAX_CHANGES])}{more}){all_}"


def _record(cause: Cause | None, fresh: Path, artifact: Path) -> None:
    write_record(fresh, artifact, cause, _versions())


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}
