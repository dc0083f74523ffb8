"""Models beside a baseline on the same queries: by how much they differ, and whether by chance."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from embedlab.errors import InputError
from embedlab.sources.beir_sets import CQADUPSTACK
from embedlab.statistics.intervals import mean_intervals, stratified_mean_intervals
from embedlab.statistics.paired_tests import paired_randomisation_test

# By model, as `score_run` gives them.
Tables = Mapping[str, pd.DataFrame]


def compare_models(
    tables: Mapping[str, Tables],
    baseline: str,
    metrics: Sequence[str],
    n_resamples: int,
    n_permutations: int,
    seed: int,
) -> dict[str, Any]:
    """Every model against the baseline on each set, and on the average over sets.

    Differences are the model's less the baseline's, query by query. `p_value` is of the paired
    randomisation test; `p_holm` corrects it for the number of sets on which this model is tested
    for this metric (one family a model and metric). The average over sets is one test more, of its
    own: it is not corrected.

    Args:
        tables: query metrics by set, then by model, the same models in each set.
        baseline: one of the models.
        metrics: columns to compare.
        n_resamples: bootstrap samples behind each interval.
        n_permutations: sign patterns of each test, at most.
        seed: of both.

    Returns:
        Ready for JSON: `baseline`, `metrics`, `correction`; `sets`, by set, model and metric, the
        mean, and but for the baseline difference, low, high (95 %), p_value, p_holm, wins, losses
        and ties (queries); `average`, by model and metric, the same less p_holm and the counts.

    Raises:
        InputError: if a model's queries are not those of the baseline.
    """
    models = list(next(iter(tables.values())))
    options = n_resamples, n_permutations, seed
    sets: dict[str, Any] = {name: {} for name in tables}
    average: dict[str, Any] = {}
    for model in models:
        for name, own in tables.items():
            means = {metric: {"mean": float(own[model][metric].mean())} for metric in metrics}
            sets[name][model] = means
        average[model] = {metric: {"mean": _average(sets, model, metric)} for metric in metrics}
        if model != baseline:
            differences = {
                name: _differences(own[model], own[baseline], metrics, f"{model}.{name}")
                for name, own in tables.items()
            }
            for name, values in differences.items():
                _add(sets[name][model], _compare(values, *options))
            _add(average[model], _compare_average(differences, *options))
            for metric in metrics:
                _correct([own[model][metric] for own in sets.values()])
    return {
        "baseline": baseline,
        "metrics": list(metrics),
        "correction": "Holm, over the sets, for each model and metric",
        "sets": sets,
        "average": average,
    }


def holm(p_values: Sequence[float]) -> list[float]:
    r"""P-values that hold together: the chance of any false alarm stays below the level.

    The i-th smallest of m becomes $\max_{j \le i} \min(1, (m - j + 1)\, p_{(j)})$, whatever the
    tests depend on.

    References:
        Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    order = np.argsort(p_values, kind="stable")
    scaled = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected.tolist()


def average_weights(names: Sequence[str]) -> dict[str, float]:
    """What each set counts in the average over sets: all alike, CQADupStack's forums as one set.

    References:
        Thakur et al. 2021, BEIR, arXiv 2104.08663, appendix D.3: CQADupStack is one of the sets.
    """
    groups = Counter(map(base_set, names))
    return {name: 1 / (len(groups) * groups[base_set(name)]) for name in names}


def base_set(name: str) -> str:
    """The set of BEIR that a catalog name belongs to: `cqadupstack` for each of its forums."""
    return CQADUPSTACK if name.startswith(f"{CQADUPSTACK}-") else name


def average(means: Mapping[str, float]) -> float:
    """The average over sets of a mean by set."""
    weights = average_weights(list(means))
    return sum(weights[name] * value for name, value in means.items())


def _average(sets: Mapping[str, Any], model: str, metric: str) -> float:
    return average({name: own[model][metric]["mean"] for name, own in sets.items()})


def _differences(
    model: pd.DataFrame, baseline: pd.DataFrame, metrics: Sequence[str], name: str
) -> pd.DataFrame:
    """The model's metrics less the baseline's, a row a query."""
    if model["query_id"].tolist() != baseline["query_id"].tolist():
        raise InputError(
            f"{name}.query_metrics are not of the baseline's queries; "
            "run `kedro run --pipelines=evaluation` again"
        )
    return model[list(metrics)] - baseline[list(metrics)]


def _compare(
    differences: pd.DataFrame, n_resamples: int, n_permutations: int, seed: int
) -> dict[str, dict[str, Any]]:
    """What the differences `(q, metrics)` on one set come to, by metric."""
    intervals = mean_intervals(differences.to_numpy(), n_resamples, seed)
    compared = {}
    for (metric, values), (mean, low, high) in zip(differences.items(), intervals, strict=True):
        compared[str(metric)] = {
            "difference": mean,
            "low": low,
            "high": high,
            "p_value": paired_randomisation_test(values.to_numpy(), n_permutations, seed),
            "wins": int((values > 0).sum()),
            "losses": int((values < 0).sum()),
            "ties": int((values == 0).sum()),
        }
    return compared


def _compare_average(
    differences: Mapping[str, pd.DataFrame], n_resamples: int, n_permutations: int, seed: int
) -> dict[str, dict[str, Any]]:
    """The same of the average over sets."""
    weights = list(average_weights(list(differences)).values())
    strata = [own.to_numpy() for own in differences.values()]
    intervals = stratified_mean_intervals(strata, weights, n_resamples, seed)
    # The average is a sum over all queries, each weighted; so signs can be flipped as on one set.
    terms = np.concatenate([w / len(own) * own for w, own in zip(weights, strata, strict=True)])
    names = next(iter(differences.values())).columns
    return {
        metric: {
            "difference": mean,
            "low": low,
            "high": high,
            "p_value": paired_randomisation_test(column, n_permutations, seed),
        }
        for metric, (mean, low, high), column in zip(names, intervals, terms.T, strict=True)
    }


def _add(cells: dict[str, Any], compared: Mapping[str, Any]) -> None:
    for metric, values in compared.items():
        cells[metric] |= values


def _correct(cells: Sequence[dict[str, Any]]) -> None:
    """Write the corrected p-value into the cells of a family."""
    for cell, p_value in zip(cells, holm([cell["p_value"] for cell in cells]), strict=True):
        cell["p_holm"] = p_value
