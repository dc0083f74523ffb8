"""The runner behind `kedro run --only-changed`."""

import logging
from typing import Any

from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner

from embedlab.lineage.project import project_lineage

logger = logging.getLogger(__name__)


class OnlyChangedRunner(SequentialRunner):
    """Runs the nodes whose inputs, parameters or code have changed, and those that follow."""

    def run(  # type: ignore[override]
        self, pipeline: Pipeline, catalog: DataCatalog, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """Leave out the other nodes, then run."""
        changed = project_lineage(catalog).changed_nodes(pipeline)
        logger.info("%d of %d nodes have changed", len(changed.nodes), len(pipeline.nodes))
        return super().run(changed, catalog, *args, **kwargs)
