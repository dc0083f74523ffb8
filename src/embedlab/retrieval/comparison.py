"""Tests of each model against a baseline on the same queries."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from embedlab.errors import InputError
from embedlab.sources.beir_sets import CQADUPSTACK
from embedlab.statistics.intervals import Interval, mean_intervals, stratified_mean_intervals
from embedlab.statistics.paired_tests import paired_randomisation_test

# By metric: a mean, and the test of its difference from the baseline.
Cells = dict[str, dict[str, Any]]
# By set: a model's metrics minus the baseline's `(q, metrics)`.
Differences = Mapping[str, pd.DataFrame]


def compare_models(
    tables: Mapping[str, Mapping[str, pd.DataFrame]],
    baseline: str,
    metrics: Sequence[str],
    num_resamples: int,
    max_permutations: int,
    seed: int,
) -> dict[str, Any]:
    """Compare every model with the baseline on each set, and on the average over sets.

    A difference is the model's metric minus the baseline's, per query. `p_value` comes from the
    paired randomisation test. `p_holm` corrects it for the number of sets: the tests of one model
    and one metric are one family. The average over sets is a single further test, not corrected.

    `tables` has the output of `score_run` by set, then by model, the same models in each set.

    Returns:
        JSON-ready: `baseline`, `metrics`, `correction`; `sets`, by set, model and metric: mean and,
        except for the baseline, difference, low, high (95 % interval), p_value, wins, losses, ties
        (numbers of queries) and p_holm; `average`, by model and metric: the same without the
        counts and p_holm; `groups`, by the groups of `set_groups`: the average over their sets.

    Raises:
        InputError: if a model's queries differ from the baseline's.
    """
    tester = _Tester(num_resamples, max_permutations, seed)
    sets: dict[str, dict[str, Cells]] = {name: {} for name in tables}
    members = set_groups(list(tables))
    groups: dict[str, dict[str, Cells]] = {name: {} for name in members}
    averages: dict[str, Cells] = {}
    for model in next(iter(tables.values())):
        for name, by_model in tables.items():
            sets[name][model] = {m: {"mean": float(by_model[model][m].mean())} for m in metrics}
        cells = {name: by_model[model] for name, by_model in sets.items()}
        differences: dict[str, pd.DataFrame] = {}
        if model != baseline:
            differences = {
                name: _differences(by_model[model], by_model[baseline], metrics, f"{model}.{name}")
                for name, by_model in tables.items()
            }
            tester.add_to_sets(cells, differences)
        averages[model] = tester.average(list(tables), cells, differences)
        for group, names in members.items():
            groups[group][model] = tester.average(names, cells, differences)
    return {
        "baseline": baseline,
        "metrics": list(metrics),
        "correction": "Holm, over the sets, for each model and metric",
        "sets": sets,
        "groups": groups,
        "average": averages,
    }


def holm(p_values: Sequence[float]) -> list[float]:
    r"""Correct p-values so that the probability of any false rejection stays below the level.

    The i-th smallest of m becomes $\max_{j \le i} \min(1, (m - j + 1)\, p_{(j)})$. The tests may
    depend on each other.

    References:
        Holm 1979, A simple sequentially rejective multiple test procedure.

    Example:
        >>> holm([0.01, 0.04, 0.5])
        [0.03, 0.08, 0.5]
    """
    order = np.argsort(p_values, kind="stable")
    scaled = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected.tolist()


def average_weights(names: Sequence[str]) -> dict[str, float]:
    """Compute the weight of each set in the average: equal, CQADupStack's forums being one set.

    References:
        Thakur et al. 2021, BEIR, arXiv 2104.08663, appendix D.3: CQADupStack is one of the sets.

    Example:
        >>> average_weights(["scifact", "cqadupstack-gis", "cqadupstack-tex"])
        {'scifact': 0.5, 'cqadupstack-gis': 0.25, 'cqadupstack-tex': 0.25}
    """
    groups = Counter(map(base_set, names))
    return {name: 1 / (len(groups) * groups[base_set(name)]) for name in names}


def base_set(name: str) -> str:
    """Map a catalog name to its BEIR set: `cqadupstack` for each of its forums."""
    return CQADUPSTACK if name.startswith(f"{CQADUPSTACK}-") else name


def set_groups(names: Sequence[str]) -> dict[str, list[str]]:
    """List the sets of each BEIR set that consists of several of them.

    BEIR's number for such a set is the average over them.

    Example:
        >>> set_groups(["scifact", "cqadupstack-gis", "cqadupstack-tex"])
        {'cqadupstack': ['cqadupstack-gis', 'cqadupstack-tex']}
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(base_set(name), []).append(name)
    return {group: sets for group, sets in groups.items() if len(sets) > 1}


def average(means: Mapping[str, float]) -> float:
    """Average the means by set with `average_weights`."""
    weights = average_weights(list(means))
    return sum(weights[name] * value for name, value in means.items())


def _differences(
    model: pd.DataFrame, baseline: pd.DataFrame, metrics: Sequence[str], name: str
) -> pd.DataFrame:
    if model["query_id"].tolist() != baseline["query_id"].tolist():
        raise InputError(
            f"{name}.query_metrics has other queries than the baseline; "
            "run `kedro run --pipelines=evaluation` again"
        )
    return model[list(metrics)] - baseline[list(metrics)]


class _Tester(NamedTuple):
    """Adds the tests of a model's differences from the baseline, by set, to its cells."""

    num_resamples: int
    max_permutations: int
    seed: int

    def add_to_sets(self, cells: Mapping[str, Cells], differences: Differences) -> None:
        for name, table in differences.items():
            intervals = mean_intervals(table.to_numpy(), self.num_resamples, self.seed)
            for (metric, column), interval in zip(table.items(), intervals, strict=True):
                values = column.to_numpy()
                cells[name][str(metric)] |= {
                    **self.test(interval, values),
                    "wins": int((values > 0).sum()),
                    "losses": int((values < 0).sum()),
                    "ties": int((values == 0).sum()),
                }
        for family in zip(*(cell.values() for cell in cells.values()), strict=True):
            corrected = holm([cell["p_value"] for cell in family])
            for cell, p_value in zip(family, corrected, strict=True):
                cell["p_holm"] = p_value

    def average(
        self, names: Sequence[str], cells: Mapping[str, Cells], differences: Differences
    ) -> Cells:
        """The averages of a model over sets, tested if there are differences."""
        averages: Cells = {
            metric: {"mean": average({name: cells[name][metric]["mean"] for name in names})}
            for metric in cells[names[0]]
        }
        if differences:
            self._add_to_average(averages, {name: differences[name] for name in names})
        return averages

    def _add_to_average(self, cells: Cells, differences: Differences) -> None:
        weights = list(average_weights(list(differences)).values())
        strata = [table.to_numpy() for table in differences.values()]
        intervals = stratified_mean_intervals(strata, weights, self.num_resamples, self.seed)
        # The average is a weighted sum over all queries, so signs can be flipped as on one set.
        terms = [w / len(rows) * rows for w, rows in zip(weights, strata, strict=True)]
        columns = np.concatenate(terms).T
        for cell, interval, column in zip(cells.values(), intervals, columns, strict=True):
            cell |= self.test(interval, column)

    def test(self, interval: Interval, terms: np.ndarray) -> dict[str, float | None]:
        """A difference with its interval, and the test of the terms `(q,)` that it sums."""
        p_value = paired_randomisation_test(terms, self.max_permutations, self.seed)
        mean, low, high = interval
        return {"difference": mean, "low": low, "high": high, "p_value": p_value}
