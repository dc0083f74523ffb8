"""Wiring of the rnd pipeline."""

from collections.abc import Mapping

from kedro.pipeline import Node, Pipeline

from embedlab.novelty.plots import FIGURES
from embedlab.novelty.training import ExperimentParameters
from embedlab.pipelines.rnd.nodes import (
    compare_rnd_experiments,
    plot_rnd_experiments,
    report_failures,
    run_rnd_experiments,
)


def create_pipeline(experiments: Mapping[str, ExperimentParameters]) -> Pipeline:
    """Run and plot the experiments on each collection of vectors, then compare all.

    Args:
        experiments: by name, each with its encoder.

    ```
    novelty_pairs ────────────────┬─ run ─ {encoder}.{collection}.rnd_outcomes ─┬─ compare ─ report
    {encoder}.{collection}.vectors┤                                             └─ plot ─ figures
    rnd_results, grows meanwhile ─┘
    ```
    """
    groups: dict[str, list[str]] = {}
    for name, experiment in experiments.items():
        groups.setdefault(f"{experiment.encoder_name}.{experiment.collection}", []).append(name)
    outcomes = {group: f"{group}.rnd_outcomes" for group in groups}
    finished = {"folder": "rnd_results"} | outcomes
    made = ["rnd_comparison", *(f"rnd_comparison_{kind}" for kind in ("table", "latex", "plot"))]
    compared = {"comparison": "rnd_comparison"} | outcomes
    return Pipeline(
        [
            *(node for group, names in groups.items() for node in _experiments(group, names)),
            Node(compare_rnd_experiments, finished, made, name="compare_rnd_experiments"),
            Node(report_failures, compared, None, name="report_failures"),
        ]
    )


def _experiments(group: str, names: list[str]) -> list[Node]:
    """The nodes that run and plot the experiments on `{encoder}.{collection}`."""
    inputs = ["novelty_pairs", f"{group}.vectors", "rnd_results", "params:rnd"]
    outcomes = f"{group}.rnd_outcomes"
    finished = ["rnd_results", outcomes]
    plots = {f"{name}.rnd_{figure}": f"{name}.rnd_{figure}" for name in names for figure in FIGURES}
    run, plot = "run_rnd_experiments", "plot_rnd_experiments"
    return [
        Node(run_rnd_experiments, inputs, outcomes, name=run, namespace=group),
        Node(plot_rnd_experiments, finished, plots, name=plot, namespace=group),
    ]
