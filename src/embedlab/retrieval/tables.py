"""Tables of retrieval quality and of isotropy, for the log, for a paper and for analysis."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from embedlab.retrieval.comparison import base_set
from embedlab.statistics.intervals import Interval

LEVEL = 0.05
SPECIAL = str.maketrans({mark: f"\\{mark}" for mark in "_%&#$"})
# Columns of the interval of a difference, beside that of a mean.
DIFFERENCE = {"low": "difference_low", "high": "difference_high"}
# Headings of the isotropy table.
ISOTROPY_COLUMNS = {
    "isoscore": "IsoScore",
    "partition_isotropy": "partition",
    "effective_rank": "eff. rank",
    "mean_cosine": "mean cosine",
    "sigreg": "SIGReg",
    "norm.mean": "mean norm",
    "norm.std": "std norm",
    "distances.auroc": "distance AUROC",
}


def format_summaries(
    summaries: Mapping[str, Mapping[str, Mapping[str, Any]]], metrics: Sequence[str]
) -> str:
    """Format metrics by set and model in points; the first metric with its interval.

    `summaries` has the output of `summarise_queries` by set, then by model.
    """
    first, *others = metrics
    rows = [
        {"set": name, "model": model, first: Interval.of(summary[first]).in_points()}
        | {metric: f"{100 * summary[metric]['mean']:.1f}" for metric in others}
        for name, models in summaries.items()
        for model, summary in models.items()
    ]
    return pd.DataFrame(rows).to_string(index=False)


def format_comparison(comparison: Mapping[str, Any], metric: str) -> str:
    """Format the differences of `compare_models` in points; empty if there is no other model.

    Groups of sets come last, without the correction for the number of sets.
    """
    rows = [
        {
            "set": name,
            "model": model,
            metric: f"{100 * cell['mean']:.1f}",
            "difference": f"{100 * cell['difference']:+.1f}",
            "95 % interval": f"[{100 * cell['low']:.1f}, {100 * cell['high']:.1f}]",
            "p": f"{cell['p_value']:.4f}",
            "Holm's p": f"{cell['p_holm']:.4f}" if "p_holm" in cell else "",
        }
        for name, models in {**comparison["sets"], **comparison["groups"]}.items()
        for model, cell in ((model, cells[metric]) for model, cells in models.items())
        if model != comparison["baseline"]
    ]
    return pd.DataFrame(rows).to_string(index=False) if rows else ""


def evaluation_latex(comparison: Mapping[str, Any], metric: str) -> str:
    """Format `compare_models` for booktabs: a row per model; the average over sets, then each set.

    A group of sets is one column, as in BEIR's tables. The metric is shown in points.
    """
    columns, groups = {"average": comparison["average"]}, comparison["groups"]
    for name, cells in comparison["sets"].items():
        group = base_set(name)
        columns[group if group in groups else name] = groups.get(group, cells)
    models = list(comparison["average"])
    table = pd.DataFrame({"model": [model.translate(SPECIAL) for model in models]})
    for name, column in columns.items():
        table[name.translate(SPECIAL)] = _points([column[model][metric] for model in models])
    note = (
        f"% {metric} in points. Bold: the best of a column. Against {comparison['baseline']}, by "
        "the paired randomisation test,\n% corrected for the number of sets (Holm) except in "
        f"averages over sets: dagger: better with p < {LEVEL}; double dagger: worse.\n"
    )
    return note + table.to_latex(index=False, escape=False)


def evaluation_rows(
    summaries: Mapping[str, Mapping[str, Any]], comparison: Mapping[str, Any]
) -> pd.DataFrame:
    """Tabulate a row for each set, model and metric; averages over sets come last.

    `summaries` has the output of `summarise_queries` by set, then by model.

    Returns:
        Columns set, model, metric, n_queries, mean, low, high, difference, difference_low,
        difference_high, p_value, wins, losses, ties, p_holm; missing where they do not apply.
    """
    rows = []
    sets = {**comparison["sets"], **comparison["groups"], "average": comparison["average"]}
    for name, models in sets.items():
        for model, metrics in models.items():
            summary = summaries.get(name, {}).get(model, {})
            for metric, cell in metrics.items():
                interval = summary.get(metric, {})
                row = {"set": name, "model": model, "metric": metric}
                row |= {"n_queries": summary.get("n_queries"), "mean": cell["mean"]}
                row |= {"low": interval.get("low"), "high": interval.get("high")}
                rows.append(row | {DIFFERENCE.get(key, key): cell[key] for key in cell})
    table = pd.DataFrame(rows)
    counts = [name for name in ("n_queries", "wins", "losses", "ties") if name in table]
    return table.astype(dict.fromkeys(counts, "Int64"))


def isotropy_latex(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Format a LaTeX table for booktabs: a row per set and dense model.

    `metrics` has, by set, then by model, the output of `isotropy`, and under `distances` that of
    `summarise_distances`.
    """
    rows = [
        {"set": name, "model": model, **measures}
        for name, models in metrics.items()
        for model, measures in models.items()
    ]
    table = pd.json_normalize(rows).set_index(["set", "model"])[list(ISOTROPY_COLUMNS)]
    texts = table.map("{:.3f}".format).rename(columns=ISOTROPY_COLUMNS).reset_index()
    return texts.to_latex(index=False, escape=True)


def _points(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """A column of points: the best in bold, significant differences with a dagger."""
    texts = [f"{100 * cell['mean']:.1f}" for cell in cells]
    best = max(texts, key=float)
    bold = [f"\\textbf{{{text}}}" if text == best else text for text in texts]
    return [text + _mark(cell) for text, cell in zip(bold, cells, strict=True)]


def _mark(cell: Mapping[str, Any]) -> str:
    """The dagger by the corrected p-value if there is one; averages have only a plain one."""
    if cell.get("p_holm", cell.get("p_value", 1)) >= LEVEL:
        return ""
    return r"$^{\dagger}$" if cell["difference"] > 0 else r"$^{\ddagger}$"
