"""What happens around a run."""

import logging
from collections import defaultdict
from pathlib import PurePath

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

logger = logging.getLogger(__name__)

REPORTING = "08_reporting"
# Reports of one folder that are named one by one.
MOST_PATHS = 8


class RunLogHook:
    """Says which node runs, and where the results are."""

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Log the node's name."""
        logger.info("Node %s", node.name)

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Log the path of each report that the run has made, or their folder if they are many."""
        folders: dict[PurePath, list[PurePath]] = defaultdict(list)
        for name in sorted(pipeline.all_outputs()):
            path = PurePath(getattr(catalog[name], "_filepath", ""))
            if REPORTING in path.parts and not name.endswith(".ingestion_report"):
                folders[path.parent].append(path)
        for folder, paths in folders.items():
            for shown in paths if len(paths) <= MOST_PATHS else [folder]:
                logger.info("Report: %s", shown)
