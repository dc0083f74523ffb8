"""Nodes of the evaluation pipeline that compare models and report on them.

Inputs of which there is one for each model and set are keyed by their catalog entries,
`{model}.{set}.{kind}`.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.figure import Figure

from embedlab.pipelines.evaluation.nodes import KINDS
from embedlab.pipelines.evaluation.parameters import EvaluationParameters
from embedlab.retrieval.comparison import compare_models, set_groups
from embedlab.retrieval.examples import Results, find_examples
from embedlab.retrieval.models import ISOTROPIC
from embedlab.retrieval.plots import (
    plot_distances,
    plot_isotropy_spectrum,
    plot_metric_bars,
    plot_norms,
)
from embedlab.retrieval.scores import summarise_group, summarise_queries
from embedlab.retrieval.success_criteria import success_criteria
from embedlab.retrieval.tables import (
    evaluation_latex,
    evaluation_rows,
    format_comparison,
    format_summaries,
    isotropy_latex,
)
from embedlab.retrieval.unseen import seen_queries, unseen_tables
from embedlab.sources.retrieval_set import RetrievalSet

logger = logging.getLogger(__name__)

T = TypeVar("T")


def summarise_evaluation(
    parameters: EvaluationParameters, skipped_sets: list[str], **query_metrics: pd.DataFrame
) -> tuple[dict[str, Any], Figure]:
    """Average every metric by set and model, then by group of sets; note the sets left out."""
    sampling = (parameters.num_resamples, parameters.seed)
    tables = _by_set(query_metrics, "query_metrics")
    summaries: dict[str, Any] = {
        name: {model: summarise_queries(table, *sampling) for model, table in models.items()}
        for name, models in tables.items()
    }
    for group, names in set_groups(list(tables)).items():
        summaries[group] = {
            model: summarise_group([tables[name][model] for name in names], *sampling)
            for model in tables[names[0]]
        }
    logger.info(
        "Retrieval, in points, [95 %% bootstrap interval]:\n%s",
        format_summaries(summaries, parameters.reported),
    )
    plot = plot_metric_bars(summaries, parameters.reported[0])
    for note in skipped_sets:
        logger.warning(note)
    return summaries | ({"skipped": skipped_sets} if skipped_sets else {}), plot


def compare_query_metrics(
    parameters: EvaluationParameters, **query_metrics: pd.DataFrame
) -> dict[str, Any]:
    """Compare every model with the baseline, by set and on the average over sets."""
    comparison = _compare(_by_set(query_metrics, "query_metrics"), parameters)
    _log_comparison(comparison, "All queries", parameters.reported[0])
    return comparison


def find_seen_queries(
    corpus: pa.Table, queries: pd.DataFrame, qrels: pd.DataFrame, **pairs: pd.DataFrame
) -> list[str]:
    """Find the judged queries that occur in training or validation pairs."""
    return seen_queries(RetrievalSet(corpus, queries, qrels), *pairs.values())


def compare_unseen(parameters: EvaluationParameters, **tables: Any) -> dict[str, Any]:
    """Compare the projection with the baseline on the queries that training has not seen.

    Args:
        parameters: of the evaluation.
        **tables: `{set}.seen_queries`, and `{model}.{set}.query_metrics` of both models.
    """
    metrics = _by_set(tables, "query_metrics")
    seen = {name: tables[f"{name}.seen_queries"] for name in metrics}
    counts = {
        name: {"queries": len(models[str(parameters.baseline)]), "seen": len(seen[name])}
        for name, models in metrics.items()
    }
    logger.info("Seen in training or validation, by text or relevant document: %s", counts)
    unseen = unseen_tables(metrics, seen)
    comparison = _compare(unseen, parameters) if unseen else {}
    if comparison:
        _log_comparison(comparison, "Unseen queries", parameters.reported[0])
    return {"counts": counts, "comparison": comparison}


def tabulate_evaluation(
    summaries: dict[str, Any], comparison: dict[str, Any], parameters: EvaluationParameters
) -> tuple[str, pd.DataFrame]:
    """Tabulate the first metric as LaTeX, and all metrics as rows."""
    table = evaluation_latex(comparison, parameters.reported[0])
    return table, evaluation_rows(summaries, comparison)


def find_set_examples(
    corpus: pa.Table,
    queries: pd.DataFrame,
    qrels: pd.DataFrame,
    parameters: EvaluationParameters,
    **tables: pd.DataFrame,
) -> dict[str, Any]:
    """Find the queries of a set on which models win and lose most against the baseline.

    `tables` are `{model}.{set}.run` and `{model}.{set}.query_metrics` of each model.
    """
    (runs,), (metrics,) = (_by_set(tables, kind).values() for kind in ("run", "query_metrics"))
    results = {model: Results(run, metrics[model]) for model, run in runs.items()}
    baseline = results.pop(str(parameters.baseline))
    retrieval_set, metric = RetrievalSet(corpus, queries, qrels), parameters.reported[0]
    examples = {
        model: find_examples(retrieval_set, found, baseline, metric, parameters.max_examples)
        for model, found in results.items()
    }
    return {"metric": metric, "baseline": parameters.baseline, "models": examples}


def report_isotropy(**tables: Any) -> tuple[dict[str, Any], str, Figure, Figure, Figure]:
    """Report the isotropy of all models and sets; plot that of the first set.

    Args:
        **tables: `{model}.{set}.isotropy` of all, `{model}.{set}.distances` of the first set.
    """
    measures, distances = (_by_set(tables, kind) for kind in ("isotropy", "distances"))
    metrics = {
        name: {
            model: {key: value for key, value in measured.items() if key != "spectrum"}
            for model, measured in models.items()
        }
        for name, models in measures.items()
    }
    first = next(iter(metrics))
    labels = {model: f"{model}, {first}" for model in metrics[first]}
    return (
        metrics,
        isotropy_latex(metrics),
        plot_isotropy_spectrum({labels[m]: measures[first][m]["spectrum"] for m in labels}),
        plot_norms({labels[m]: metrics[first][m]["norm"] for m in labels}),
        plot_distances({labels[m]: _by_kind(distances[first][m]) for m in labels}),
    )


def evaluate_success(
    comparison: dict[str, Any],
    isotropy_metrics: dict[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    ablations: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Evaluate the success criteria of a paper, as far as this run measured them."""
    seconds = training["seconds"] if training else None
    # The first row of isotropic_ablations is the base, the others one variant each.
    num_ablations = None if ablations is None else len(ablations) - 1
    levels = success_criteria(comparison, isotropy_metrics or {}, ISOTROPIC, seconds, num_ablations)
    for level, result in levels.items():
        verdict, not_judged = result["verdict"], len(result["not_judged"])
        logger.info("%s: %s (%d criteria that no run can measure)", level, verdict, not_judged)
    return levels


def _by_set(entries: Mapping[str, T], kind: str) -> dict[str, dict[str, T]]:
    """Values of the entries `{model}.{set}.{kind}` by set, then by model."""
    nested: dict[str, dict[str, T]] = {}
    for entry in entries:
        if entry.endswith(f".{kind}"):
            model, name, _ = entry.split(".")
            nested.setdefault(name, {})[model] = entries[entry]
    return nested


def _compare(
    tables: Mapping[str, Mapping[str, pd.DataFrame]], parameters: EvaluationParameters
) -> dict[str, Any]:
    samples = (parameters.num_resamples, parameters.max_permutations, parameters.seed)
    return compare_models(tables, str(parameters.baseline), parameters.reported, *samples)


def _log_comparison(comparison: Mapping[str, Any], queries: str, metric: str) -> None:
    """Log the differences from the baseline, if another model was evaluated."""
    if table := format_comparison(comparison, metric):
        logger.info("%s, against %s, in points:\n%s", queries, comparison["baseline"], table)


def _by_kind(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The distances of relevant and of random pairs."""
    relevant, random = (table.loc[table["pair"] == kind, "distance"] for kind in KINDS)
    return relevant.to_numpy(), random.to_numpy()
