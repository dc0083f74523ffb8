"""The lineage of this project's pipelines, with the parameters of the session."""

from functools import partial
from typing import Any

from kedro.io import DataCatalog

from embedlab import project_parameters
from embedlab.lineage.graph import Lineage
from embedlab.lineage.state import parameter_state
from embedlab.pipeline_registry import register_pipelines

DEFAULT = "__default__"


def project_lineage(catalog: DataCatalog) -> Lineage:
    """The lineage of all registered pipelines."""
    nodes = {node for pipeline in register_pipelines().values() for node in pipeline.nodes}
    return Lineage(nodes, catalog, partial(parameter_state, project_parameters.current()))


def mending_command(lineage: Lineage, entries: list[str], run_params: dict[str, Any]) -> str:
    """The command that makes entries anew, with the environment and parameters of this run."""
    pipelines = register_pipelines()
    needed = {name for entry in entries for name in lineage.ancestors(entry)}
    options = []
    if not pipelines[DEFAULT].all_outputs().issuperset(entries):
        names = [name for name, made in pipelines.items() if needed & made.all_outputs()]
        options.append(f"--pipelines={','.join(name for name in names if name != DEFAULT)}")
    if run_params.get("env"):
        options.append(f"--env={run_params['env']}")
    if changed := run_params.get("runtime_params"):
        options.append(f'--params="{",".join(_assignments(changed))}"')
    outputs = f"--to-outputs={','.join(entries)}"
    return " ".join(["kedro run --only-changed", *options, outputs])


def _assignments(parameters: dict[str, Any], prefix: str = "") -> list[str]:
    """Nested parameters as the `a.b=1` that `--params` takes."""
    assignments = []
    for key, value in parameters.items():
        if isinstance(value, dict):
            assignments += _assignments(value, f"{prefix}{key}.")
        else:
            assignments.append(f"{prefix}{key}={value}")
    return assignments
