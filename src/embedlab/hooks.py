"""What happens around a run."""

import logging
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

logger = logging.getLogger(__name__)

REPORTING = "08_reporting"


class RunLogHook:
    """Says which node runs, and where the results are."""

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Log the node's name."""
        logger.info("Node %s", node.name)

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Log the path of each report that the run has made."""
        for name in sorted(pipeline.outputs()):
            path: Any = getattr(catalog[name], "_filepath", "")
            if REPORTING in str(path) and not name.endswith(".ingestion_report"):
                logger.info("Report: %s", path)
