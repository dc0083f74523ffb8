"""Hooks: the checks of the runner and of extras, and the log of nodes and reports."""

import logging
import re
from collections import defaultdict
from pathlib import PurePath
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from embedlab.errors import InputError
from embedlab.training.parameters import TrainingRunParameters
from embedlab.training.step_log import check_installed

logger = logging.getLogger(__name__)

REPORTING = "08_reporting"
# Maximum number of reports of one folder whose paths are logged one by one.
MAX_PATHS = 8


class OneRunnerHook:
    """Refuses runners under which trainings would silently give other results."""

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Check the runner before any node runs.

        Raises:
            InputError: if it is not Kedro's SequentialRunner.
        """
        # Kedro passes the runner's representation, <kedro.runner.….ThreadRunner object at …>.
        runner = re.search(r"\w+Runner", str(run_params.get("runner")))
        if runner and runner[0] not in ("SequentialRunner", "OnlyChangedRunner"):
            raise InputError(
                f"{runner[0]} is not supported: trainings share torch's random numbers and "
                "threads; leave out --runner (training and encoding can use several processes)"
            )


class ExtrasHook:
    """Refuses runs whose trainings report to a program that is not installed."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Check before anything is trained.

        Raises:
            InputError: with the command that installs it.
        """
        for name in pipeline.inputs():
            value = catalog[name].load() if name.startswith("params:") else None
            if isinstance(value, TrainingRunParameters):
                check_installed(tensorboard=value.tensorboard, wandb=value.wandb)


class RunLogHook:
    """Logs the name of each node, and the paths of the reports."""

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Log the node's name."""
        logger.info("Node %s", node.name)

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Log the path of each report, or only the folder of more than `MAX_PATHS` reports."""
        folders: dict[PurePath, list[PurePath]] = defaultdict(list)
        for name in sorted(pipeline.all_outputs()):
            path = PurePath(getattr(catalog[name], "_filepath", ""))
            if REPORTING in path.parts and not name.endswith(".ingestion_report"):
                folders[path.parent].append(path)
        for folder, paths in folders.items():
            for shown in paths if len(paths) <= MAX_PATHS else [folder]:
                logger.info("Report: %s", shown)
