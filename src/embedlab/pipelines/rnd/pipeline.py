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

COMPARISON = [
    "rnd_comparison",
    "rnd_comparison_table",
    "rnd_comparison_latex",
    "rnd_comparison_plot",
]


def create_pipeline(experiments: Mapping[str, ExperimentParameters]) -> Pipeline:
    """Experiments on the same vectors are run together and drawn, then all are compared.

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
    compare = Node(
        compare_rnd_experiments,
        {"folder": "rnd_results"} | outcomes,
        COMPARISON,
        name="compare_rnd_experiments",
    )
    report = Node(
        report_failures, {"comparison": "rnd_comparison"} | outcomes, None, name="report_failures"
    )
    parts = [node for group, names in groups.items() for node in _experiments(group, names)]
    return Pipeline([*parts, compare, report])


def _experiments(group: str, names: list[str]) -> list[Node]:
    """The nodes that run and draw the experiments on `{encoder}.{collection}`."""
    outcomes = f"{group}.rnd_outcomes"
    figures = [f"{name}.rnd_{figure}" for name in names for figure in FIGURES]
    return [
        Node(
            run_rnd_experiments,
            ["novelty_pairs", f"{group}.vectors", "rnd_results", "params:rnd"],
            outcomes,
            name="run_rnd_experiments",
            namespace=group,
        ),
        Node(
            plot_rnd_experiments,
            ["rnd_results", outcomes],
            {figure: figure for figure in figures},
            name="plot_rnd_experiments",
            namespace=group,
        ),
    ]
