"""The project's context: its pipelines depend on its parameters."""

from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines

from embedlab import project_parameters


class ProjectContext(KedroContext):
    """Validates all parameters before anything runs, and has the pipelines built for them."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        parameters = project_parameters.use(self.config_loader["parameters"])
        self.config_loader["parameters"] = parameters.for_nodes()
        # Pipelines built for another environment in the same process do not hold any more.
        pipelines.configure("embedlab.pipeline_registry")
