"""The project's context, which validates the parameters and builds the pipelines for them."""

from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines

from embedlab import project_parameters


class ProjectContext(KedroContext):
    """Validates all parameters before anything runs, and rebuilds the pipelines for them."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        parameters = project_parameters.use(self.config_loader["parameters"])
        self.config_loader["parameters"] = parameters.for_nodes()
        # An earlier session of this process may have built pipelines for other parameters.
        pipelines.configure("embedlab.pipeline_registry")
