"""A figure that compares experiments on novelty."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embedlab.figure import legend_below, new_figure
from embedlab.novelty.plots import METHODS, ordered_methods


def plot_experiments(rows: Sequence[Mapping[str, Any]], label: str, title: str) -> Figure:
    """A row for each experiment: how well each method tells novel items, with its interval.

    Args:
        rows: each with a `name` and its `methods`: by method, the mean, low and high AUROC, an end
            None where it is not known.
        label: says what the AUROC is of.
        title: names the experiments compared.
    """
    figure, axes = new_figure(7, 1.5 + 0.5 * len(rows), title)
    axes.axvline(0.5, color="grey", linewidth=1, linestyle=":", label="chance")
    present = ordered_methods({method for row in rows for method in row["methods"]})
    for i, method in enumerate(present):
        places = [place for place, row in enumerate(rows) if method in row["methods"]]
        cells = [rows[place]["methods"][method] for place in places]
        # Beside each other, so that no interval hides another.
        offset = 0.7 * ((i + 0.5) / len(present) - 0.5)
        _draw_intervals(axes, np.array(places, dtype=float) + offset, cells, method)
    for place in range(1, len(rows), 2):
        axes.axhspan(place - 0.5, place + 0.5, color="black", alpha=0.04, linewidth=0)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"AUROC, {label}")
    legend_below(figure)
    return figure


def _draw_intervals(
    axes: Axes, places: np.ndarray, cells: Sequence[Mapping[str, Any]], method: str
) -> None:
    ends = [[cell[end] for end in ("mean", "low", "high")] for cell in cells]
    mean, low, high = np.array(ends, dtype=float).T
    label, colour, marker = METHODS[method]
    bold = method == "rnd"
    axes.errorbar(
        mean,
        places,
        xerr=np.maximum([mean - low, high - mean], 0),
        linestyle="",
        marker=marker,
        markersize=7 if bold else 4.5,
        linewidth=2.4 if bold else 1.2,
        color=colour,
        label=label,
    )
