"""Wiring of the rnd pipeline."""

from collections.abc import Mapping

from kedro.pipeline import Node, Pipeline

from embedlab.novelty.training import ExperimentParameters
from embedlab.pipelines.rnd.nodes import (
    compare_rnd_experiments,
    experiment_plotter,
    experiment_runner,
    report_failures,
)

PLOTS = (
    "training_loss",
    "novelty_histograms",
    "normalised_novelty",
    "roc",
    "novelty_by_distance",
    "novelty_map",
)
COMPARISON = [
    "rnd_comparison",
    "rnd_comparison_table",
    "rnd_comparison_latex",
    "rnd_comparison_plot",
]


def create_pipeline(experiments: Mapping[str, ExperimentParameters]) -> Pipeline:
    """Experiments on the same vectors are run together, drawn one by one, then compared.

    Args:
        experiments: by name, each with its encoder.

    ```
    novelty_pairs ──────────────┬─ run ─ {encoder}.{collection}.rnd_outcomes ─┬─ compare ─ report
    {encoder}.{collection} ─────┤                                             └─ {name}.plot
    rnd_results, grows meanwhile┘
    ```
    """
    groups: dict[str, dict[str, ExperimentParameters]] = {}
    for name, own in experiments.items():
        groups.setdefault(f"{own.encoder_name}.{own.collection}", {})[name] = own
    nodes = [_run(vectors, group) for vectors, group in groups.items()]
    nodes += [_plot(name, vectors) for vectors, group in groups.items() for name in group]
    outcomes = [f"{vectors}.rnd_outcomes" for vectors in groups]
    return Pipeline(
        [
            *nodes,
            Node(
                compare_rnd_experiments,
                ["rnd_results", *outcomes],
                COMPARISON,
                name="compare_rnd_experiments",
            ),
            Node(report_failures, ["rnd_comparison", *outcomes], None, name="report_failures"),
        ]
    )


def _run(vectors: str, experiments: Mapping[str, ExperimentParameters]) -> Node:
    """The node that runs experiments on `{encoder}.{collection}`."""
    made = [f"{vectors}.{kind}" for kind in ("embeddings", "ids", "embeddings_metadata")]
    return Node(
        experiment_runner(vectors, experiments),
        ["novelty_pairs", *made, "rnd_results", "params:rnd"],
        f"{vectors}.rnd_outcomes",
        name="run_rnd_experiments",
        namespace=vectors,
    )


def _plot(name: str, vectors: str) -> Node:
    """The node that draws the figures of an experiment."""
    return Node(
        experiment_plotter(name),
        ["rnd_results", f"{vectors}.rnd_outcomes"],
        [f"{name}.rnd_{plot}" for plot in PLOTS],
        name="plot_rnd_experiment",
        namespace=name,
    )
