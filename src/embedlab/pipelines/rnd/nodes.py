"""Nodes of the rnd pipeline."""

import logging
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from embedlab.encoders.embeddings import Embeddings
from embedlab.errors import InputError
from embedlab.figure import plot_message
from embedlab.novelty.comparison import compare_experiments, format_latex, format_table
from embedlab.novelty.evaluation import NoveltyData
from embedlab.novelty.experiment_folder import ExperimentFolder
from embedlab.novelty.experiments import run_experiments
from embedlab.novelty.plots import FIGURES, draw_experiment, plot_comparison
from embedlab.pipelines.rnd.parameters import RNDParameters

logger = logging.getLogger(__name__)

# By experiment: the reason of its failure, or None if it is finished.
Outcomes = dict[str, str | None]


def run_rnd_experiments(
    pairs: pd.DataFrame, embeddings: Embeddings, folder: ExperimentFolder, parameters: RNDParameters
) -> Outcomes:
    """Run the experiments on these vectors; finished ones are skipped."""
    names = ("model", "fingerprint")
    data = NoveltyData(
        embeddings.vectors,
        pairs["set"].to_numpy(str),
        pd.factorize(pairs["problem"])[0],
        {name: embeddings.metadata[name] for name in names},
        parameters.num_neighbours,
    )
    experiments = parameters.of_vectors(embeddings.encoder, embeddings.collection)
    return run_experiments(experiments, data, folder)


def plot_rnd_experiments(folder: ExperimentFolder, outcomes: Outcomes) -> dict[str, Figure]:
    """Plot the figures of each experiment, `{experiment}.rnd_{figure}`."""
    plots: dict[str, Figure] = {}
    for name, reason in outcomes.items():
        if reason is None:
            figures = draw_experiment(name, folder.require(name), folder.model(name)["figures"])
        else:
            figures = {figure: plot_message(f"{name} failed: {reason}") for figure in FIGURES}
        plots |= {f"{name}.rnd_{figure}": plot for figure, plot in figures.items()}
    return plots


def compare_rnd_experiments(
    folder: ExperimentFolder, **outcomes: Outcomes
) -> tuple[list[dict[str, Any]], pd.DataFrame, str, Figure]:
    """Compare the finished experiments as rows, table, LaTeX and figure.

    Args:
        folder: of the finished experiments.
        **outcomes: of the experiments on each collection of vectors.

    Raises:
        InputError: if all of them failed.
    """
    finished = [name for name, reason in _merged(outcomes).items() if reason is None]
    if not finished:
        raise InputError(_failures(outcomes))
    rows = compare_experiments([folder.require(name) for name in finished])
    table = format_table(rows)
    logger.info("Novelty, AUROC in points:\n%s", table.to_string(index=False))
    return rows, pd.json_normalize(rows), format_latex(table), plot_comparison(rows)


def report_failures(comparison: list[dict[str, Any]], **outcomes: Outcomes) -> None:
    """End the run with an error if an experiment failed; runs after the comparison.

    Raises:
        InputError: naming each failed experiment and the reason.
    """
    if failures := _failures(outcomes):
        raise InputError(failures)


def _failures(outcomes: dict[str, Outcomes]) -> str:
    """The failed experiments and the reasons; empty if there are none."""
    reasons = _merged(outcomes)
    failed = [f"{name}: {reason}" for name, reason in reasons.items() if reason is not None]
    if not failed:
        return ""
    return f"{len(failed)} of {len(reasons)} experiments failed: {'; '.join(failed)}"


def _merged(outcomes: dict[str, Outcomes]) -> Outcomes:
    return {name: reason for part in outcomes.values() for name, reason in part.items()}
