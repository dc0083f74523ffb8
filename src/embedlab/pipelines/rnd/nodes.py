"""Nodes of the rnd pipeline."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from embedlab.encoders.collection import concatenated_pair_texts, pair_texts
from embedlab.errors import InputError
from embedlab.figure import plot_message
from embedlab.novelty.comparison import compare_experiments, format_latex, format_table
from embedlab.novelty.evaluation import NoveltyData
from embedlab.novelty.experiment_folder import ExperimentFolder
from embedlab.novelty.experiments import run_experiments
from embedlab.novelty.plots import FIGURES, draw_experiment, plot_comparison
from embedlab.novelty.training import ExperimentParameters
from embedlab.pipelines.rnd.parameters import RNDParameters

logger = logging.getLogger(__name__)

Outcomes = dict[str, str | None]


def experiment_runner(
    vectors: str, experiments: Mapping[str, ExperimentParameters]
) -> Callable[..., Outcomes]:
    """The node function that runs these experiments on the vectors `{encoder}.{collection}`."""

    def run_rnd_experiments(
        pairs: pd.DataFrame,
        embeddings: np.ndarray,
        ids: list[str],
        metadata: dict[str, Any],
        folder: ExperimentFolder,
        parameters: RNDParameters,
    ) -> Outcomes:
        concatenated = vectors.endswith("_concat")
        texts = concatenated_pair_texts(pairs) if concatenated else pair_texts(pairs)
        texts.check_embeddings_of(vectors, embeddings, ids, metadata)
        description = {key: metadata[key] for key in ("model", "fingerprint", "texts_sha256")}
        sets, problems = pairs["set"].to_numpy(str), pd.factorize(pairs["problem"])[0]
        data = NoveltyData(embeddings, sets, problems, description, parameters.num_neighbours)
        return run_experiments(experiments, data, folder)

    return run_rnd_experiments


def experiment_plotter(name: str) -> Callable[..., tuple[Figure, ...]]:
    """The node function that draws the six figures of the experiment of this name."""

    def plot_rnd_experiment(folder: ExperimentFolder, outcomes: Outcomes) -> tuple[Figure, ...]:
        if (reason := outcomes.get(name)) is not None:
            return tuple(plot_message(f"{name} failed: {reason}") for _ in FIGURES)
        figures = draw_experiment(name, folder.require(name), folder.model(name)["figures"])
        return tuple(figures.values())

    return plot_rnd_experiment


def compare_rnd_experiments(
    folder: ExperimentFolder, *outcomes: Outcomes
) -> tuple[list[dict[str, Any]], pd.DataFrame, str, Figure]:
    """The experiments of this run beside each other: rows, table, LaTeX, and a figure."""
    finished = [name for part in outcomes for name, reason in part.items() if reason is None]
    if not finished:
        raise InputError(_failures(outcomes))
    rows = compare_experiments([folder.require(name) for name in finished])
    table = format_table(rows)
    logger.info("Novelty, AUROC in points:\n%s", table.to_string(index=False))
    return rows, pd.json_normalize(rows), format_latex(table), plot_comparison(rows)


def report_failures(comparison: list[dict[str, Any]], *outcomes: Outcomes) -> None:
    """End the run with an error if an experiment failed, once the others are compared.

    Raises:
        InputError: naming each failed experiment and the reason.
    """
    if failures := _failures(outcomes):
        raise InputError(failures)


def _failures(outcomes: Sequence[Outcomes]) -> str:
    """The failed experiments and the reasons; empty if there are none."""
    together = {name: reason for part in outcomes for name, reason in part.items()}
    failed = [f"{name}: {reason}" for name, reason in together.items() if reason is not None]
    if not failed:
        return ""
    return f"{len(failed)} of {len(together)} experiments failed: {'; '.join(failed)}"
