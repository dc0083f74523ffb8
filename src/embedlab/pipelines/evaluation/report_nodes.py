"""Nodes of the evaluation pipeline that compare models and report on them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from embedlab.pipelines.evaluation.nodes import check_vectors
from embedlab.pipelines.evaluation.parameters import EvaluationParameters
from embedlab.retrieval.comparison import compare_models
from embedlab.retrieval.distances import pair_distances, summarise_distances
from embedlab.retrieval.examples import Results, find_examples
from embedlab.retrieval.isotropy import isotropy
from embedlab.retrieval.models import ISOTROPIC
from embedlab.retrieval.plots import plot_distances, plot_isotropy_spectrum, plot_norms
from embedlab.retrieval.success_criteria import success_criteria
from embedlab.retrieval.tables import (
    evaluation_latex,
    evaluation_rows,
    format_comparison,
    isotropy_latex,
)
from embedlab.retrieval.unseen import unseen_tables
from embedlab.sources.retrieval_set import RetrievalSet

logger = logging.getLogger(__name__)

KINDS = ("relevant", "random")


def model_comparer(
    pairs: Sequence[tuple[str, str]], baseline: str
) -> Callable[..., dict[str, Any]]:
    """The node function that compares the query metrics of each pair of set and model."""

    def compare(parameters: EvaluationParameters, *query_metrics: pd.DataFrame) -> dict[str, Any]:
        tables: dict[str, dict[str, pd.DataFrame]] = {}
        for (name, model), table in zip(pairs, query_metrics, strict=True):
            tables.setdefault(name, {})[model] = table
        compared = _compare(tables, baseline, parameters)
        _say(compared, "All queries", parameters.reported[0])
        return compared

    return compare


def unseen_comparer(
    pairs: Sequence[tuple[str, str]], baseline: str
) -> Callable[..., dict[str, Any]]:
    """The node function that compares models on the queries that training has not seen.

    It takes the seen queries of each set, then the query metrics of each pair of set and model.
    """

    def compare_unseen(parameters: EvaluationParameters, *inputs: Any) -> dict[str, Any]:
        names = list(dict.fromkeys(name for name, _ in pairs))
        seen = dict(zip(names, inputs, strict=False))
        tables: dict[str, dict[str, pd.DataFrame]] = {}
        for (name, model), table in zip(pairs, inputs[len(names) :], strict=True):
            tables.setdefault(name, {})[model] = table
        counts = {
            name: {"queries": len(own[baseline]), "seen": len(seen[name])}
            for name, own in tables.items()
        }
        unseen = unseen_tables(tables, seen)
        compared = _compare(unseen, baseline, parameters) if unseen else {}
        logger.info("Seen in training or validation, by text or relevant document: %s", counts)
        if compared:
            _say(compared, "Unseen queries", parameters.reported[0])
        return {"counts": counts, "comparison": compared}

    return compare_unseen


def tabulate_evaluation(
    summaries: dict[str, Any], comparison: dict[str, Any], parameters: EvaluationParameters
) -> tuple[str, pd.DataFrame]:
    """The first metric as LaTeX, and everything as rows."""
    table = evaluation_latex(comparison, parameters.reported[0])
    return table, evaluation_rows(summaries, comparison)


def example_finder(models: Sequence[str], baseline: str) -> Callable[..., dict[str, Any]]:
    """The node function that finds queries on which these models win and lose most.

    It takes run and query metrics of each model, then those of the baseline.
    """

    def find(
        retrieval_set: RetrievalSet, parameters: EvaluationParameters, *tables: pd.DataFrame
    ) -> dict[str, Any]:
        *results, reference = map(Results, tables[::2], tables[1::2])
        metric = parameters.reported[0]
        examples = {
            model: find_examples(retrieval_set, own, reference, metric, parameters.max_examples)
            for model, own in zip(models, results, strict=True)
        }
        return {"metric": metric, "baseline": baseline, "models": examples}

    return find


def isotropy_measurer(model: str, name: str) -> Callable[..., tuple[dict[str, Any], pd.DataFrame]]:
    """The node function that measures this model's vectors of the set of this name."""

    def measure_isotropy(
        retrieval_set: RetrievalSet,
        query_embeddings: np.ndarray,
        query_ids: list[str],
        corpus_embeddings: np.ndarray,
        corpus_ids: list[str],
        query_metadata: dict[str, Any],
        corpus_metadata: dict[str, Any],
        parameters: EvaluationParameters,
    ) -> tuple[dict[str, Any], pd.DataFrame]:
        queries = (query_embeddings, query_ids, query_metadata)
        corpus = (corpus_embeddings, corpus_ids, corpus_metadata)
        check_vectors(f"{model}.{name}", retrieval_set, queries, corpus)
        distances = pair_distances(
            query_embeddings,
            corpus_embeddings,
            query_ids,
            corpus_ids,
            retrieval_set.qrels,
            parameters.max_pairs,
            parameters.seed,
            parameters.similarity_of(model),
        )
        measures = isotropy(corpus_embeddings, parameters.max_vectors, parameters.seed)
        kinds = np.repeat(KINDS, [len(values) for values in distances])
        table = pd.DataFrame({"pair": kinds, "distance": np.concatenate(distances)})
        return measures | {"distances": summarise_distances(*distances)}, table

    return measure_isotropy


def isotropy_reporter(
    pairs: Sequence[tuple[str, str]],
) -> Callable[..., tuple[dict[str, Any], str, Figure, Figure, Figure]]:
    """The node function that puts the isotropy of each pair of set and dense model together.

    It takes the measures of all pairs, then the distances of those of the first set; the figures
    are of that set.
    """

    def report_isotropy(*inputs: Any) -> tuple[dict[str, Any], str, Figure, Figure, Figure]:
        metrics: dict[str, dict[str, Any]] = {}
        spectra: dict[str, dict[str, Any]] = {}
        for (name, model), own in zip(pairs, inputs, strict=False):
            spectra.setdefault(name, {})[model] = own["spectrum"]
            numbers = {key: value for key, value in own.items() if key != "spectrum"}
            metrics.setdefault(name, {})[model] = numbers
        first = pairs[0][0]
        labels = {model: f"{model}, {first}" for model in metrics[first]}
        distances = map(_by_kind, inputs[len(pairs) :])
        return (
            metrics,
            isotropy_latex(metrics),
            plot_isotropy_spectrum({labels[model]: own for model, own in spectra[first].items()}),
            plot_norms({labels[model]: own["norm"] for model, own in metrics[first].items()}),
            plot_distances(dict(zip(labels.values(), distances, strict=True))),
        )

    return report_isotropy


def judge_success(
    comparison: dict[str, Any],
    isotropy_metrics: dict[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    ablations: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The documents' criteria for a paper, as far as this run measured them."""
    seconds = None if training is None else training["seconds"]
    # The first row of isotropic_ablations is the base, the others one variant each.
    n_ablations = None if ablations is None else len(ablations) - 1
    levels = success_criteria(comparison, isotropy_metrics or {}, ISOTROPIC, seconds, n_ablations)
    for level, judged in levels.items():
        not_judged = len(judged["not_judged"])
        verdict = f"{judged['verdict']} ({not_judged} more that no run can measure)"
        logger.info("Criteria of a %s: %s", level, verdict)
    return levels


def _compare(
    tables: Mapping[str, Mapping[str, pd.DataFrame]],
    baseline: str,
    parameters: EvaluationParameters,
) -> dict[str, Any]:
    samples = (parameters.num_resamples, parameters.max_permutations, parameters.seed)
    return compare_models(tables, baseline, parameters.reported, *samples)


def _say(compared: Mapping[str, Any], queries: str, metric: str) -> None:
    """Log the differences from the baseline."""
    if table := format_comparison(compared, metric):
        logger.info("%s, against %s, in points:\n%s", queries, compared["baseline"], table)


def _by_kind(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The distances of relevant and of random pairs."""
    relevant, random = (table.loc[table["pair"] == kind, "distance"] for kind in KINDS)
    return relevant.to_numpy(), random.to_numpy()
