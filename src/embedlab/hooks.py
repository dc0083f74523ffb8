"""What happens around a run."""

import logging
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from embedlab import project_parameters

logger = logging.getLogger(__name__)

REPORTING = "08_reporting"


class ParametersHook:
    """Build the pipelines for the parameters of this session's environment."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Validate all parameters before anything runs."""
        project_parameters.use(context.config_loader["parameters"])
        # Pipelines built for another environment in the same process do not hold any more.
        pipelines.configure("embedlab.pipeline_registry")


class ReportHook:
    """Say where the results are."""

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Log the path of each report that no later node consumes."""
        for name in sorted(pipeline.outputs()):
            path: Any = getattr(catalog[name], "_filepath", "")
            if REPORTING in str(path) and not name.endswith(".ingestion_report"):
                logger.info("Report: %s", path)
