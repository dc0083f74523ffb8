"""Tables of retrieval quality and of isotropy, for a paper and for further analysis."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

LEVEL = 0.05
ENDS = ("mean", "low", "high")
SPECIAL = str.maketrans({mark: f"\\{mark}" for mark in "_%&#$"})
# Heading and path of each number of the table of isotropy.
ISOTROPY_COLUMNS = {
    "IsoScore": ("isoscore",),
    "partition": ("partition_isotropy",),
    "eff. rank": ("effective_rank",),
    "mean cosine": ("mean_cosine",),
    "SIGReg": ("sigreg",),
    "mean norm": ("norm", "mean"),
    "std norm": ("norm", "std"),
    "distance AUROC": ("distances", "auroc"),
}


def evaluation_latex(comparison: Mapping[str, Any], metric: str) -> str:
    """A row a model, a column a set, and the average over sets first; for the package booktabs.

    Args:
        comparison: as `compare_models` gives it.
        metric: what to show, in points.
    """
    columns = {"average": comparison["average"], **comparison["sets"]}
    models = list(comparison["average"])
    table = pd.DataFrame({"model": [_escape(model) for model in models]})
    for name, column in columns.items():
        table[_escape(name)] = _points([column[model][metric] for model in models])
    note = (
        f"% {metric} in points. Bold: the best of a column. Against {comparison['baseline']}, by "
        "the paired randomisation test,\n% corrected for the number of sets (Holm): dagger: better "
        f"with p < {LEVEL}; double dagger: worse.\n"
    )
    return note + table.to_latex(index=False, escape=False)


def evaluation_rows(
    summaries: Mapping[str, Mapping[str, Any]], comparison: Mapping[str, Any]
) -> pd.DataFrame:
    """A row for each set, model and metric; the average over sets last.

    Args:
        summaries: by set, then by model, as `summarise_queries` gives them.
        comparison: as `compare_models` gives it.

    Returns:
        Columns set, model, metric, n_queries, mean, low, high, difference, difference_low,
        difference_high, p_value, wins, losses, ties, p_holm; what does not apply is missing.
    """
    rows = []
    for name, models in {**comparison["sets"], "average": comparison["average"]}.items():
        for model, metrics in models.items():
            summary = summaries.get(name, {}).get(model, {})
            for metric, cell in metrics.items():
                ends = {end: summary.get(metric, {}).get(end) for end in ENDS}
                compared = {
                    f"difference_{key}" if key in ENDS else key: value
                    for key, value in cell.items()
                    if key != "mean"
                }
                row = {"set": name, "model": model, "metric": metric}
                row |= {"n_queries": summary.get("n_queries"), **ends, "mean": cell["mean"]}
                rows.append(row | compared)
    table = pd.DataFrame(rows)
    counts = [name for name in ("n_queries", "wins", "losses", "ties") if name in table]
    return table.astype(dict.fromkeys(counts, "Int64"))


def isotropy_latex(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each set and dense model; for the package booktabs.

    Args:
        metrics: by set, then by model: the numbers of `isotropy`, and `distances` as
            `summarise_distances` gives them.
    """
    rows = [
        {"set": _escape(name), "model": _escape(model)}
        | {heading: f"{_at(own, path):.3f}" for heading, path in ISOTROPY_COLUMNS.items()}
        for name, models in metrics.items()
        for model, own in models.items()
    ]
    return pd.DataFrame(rows).to_latex(index=False, escape=False)


def _points(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """A column: points, the best in bold, and marks of what is significant."""
    texts = [f"{100 * cell['mean']:.1f}" for cell in cells]
    best = max(texts, key=float)
    bold = [f"\\textbf{{{text}}}" if text == best else text for text in texts]
    return [text + _mark(cell) for text, cell in zip(bold, cells, strict=True)]


def _mark(cell: Mapping[str, Any]) -> str:
    """The average has a p-value of its own, a set the corrected one, the baseline none."""
    if cell.get("p_holm", cell.get("p_value", 1)) >= LEVEL:
        return ""
    return r"$^{\dagger}$" if cell["difference"] > 0 else r"$^{\ddagger}$"


def _at(tree: Mapping[str, Any], path: Sequence[str]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _escape(text: str) -> str:
    return text.translate(SPECIAL)
