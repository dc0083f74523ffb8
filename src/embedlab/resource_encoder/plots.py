"""Figures of the resource encoder: its training, its decoded descriptions, its vectors."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from embedlab.figure import label_components, legend_below, new_figure, plain

# Distinguishable with colour blindness (Okabe & Ito 2008).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c8c8c")
# One fewer than the colours, so that combinations of both repeat after 42.
MARKERS = ("o", "^", "s", "D", "v", "P")


def plot_loss(history: Sequence[Mapping[str, Any]], target_loss: float | None) -> Figure:
    """Plot training and validation loss by step on a log axis, and the target.

    Args:
        history: rows with `step`, and `loss`, `validation_loss` or both; a missing loss is absent
            or NaN, and one that is not positive leaves a gap.
        target_loss: greater than 0; None for no target.
    """
    figure, axes = new_figure(6, 3.6)
    table = pd.DataFrame(history).reindex(columns=["step", "loss", "validation_loss"])
    for name, colour in (("loss", COLOURS[0]), ("validation_loss", "black")):
        rows = table[["step", name]].dropna()
        marker = "o" if name == "validation_loss" or len(rows) == 1 else ""
        label = name.replace("_", " ")
        axes.plot(*rows.to_numpy().T, marker=marker, markersize=3, color=colour, label=label)
    if target_loss is not None:
        label = f"target: {target_loss:g}"
        axes.axhline(target_loss, color="grey", linewidth=1, linestyle="--", label=label)
    axes.set_yscale("log", nonpositive="mask")
    axes.set_xlabel("step")
    axes.set_ylabel("loss, nats per token of the description")
    axes.legend(frameon=False, fontsize="small")
    return figure


def plot_exact_match(rates: Mapping[str, Mapping[str, float]]) -> Figure:
    """Plot the share of exactly decoded descriptions and fields as bars grouped by field.

    Args:
        rates: by set, such as configurations and unseen jittered values, then by field.
    """
    table = pd.DataFrame(rates)
    num_fields, num_sets = table.shape
    figure, axes = new_figure(6, 1.2 + 0.25 * num_fields * (num_sets + 0.5))
    height = 0.8 / num_sets
    for i, name in enumerate(table):
        y = np.arange(num_fields) + (i - (num_sets - 1) / 2) * height
        bars = axes.barh(y, table[name], height, color=COLOURS[i], label=str(name))
        axes.bar_label(bars, fmt="{:.1%}", padding=2, fontsize="x-small")
    axes.set_yticks(range(num_fields), [name.replace("_", " ") for name in table.index])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("exact match")
    legend_below(figure)
    return figure


def plot_weights(points: np.ndarray, tool_names: Sequence[str], variance: np.ndarray) -> Figure:
    """Plot configurations in the plane of two principal components, with a style per tool.

    Args:
        points: `(n, 2)`.
        tool_names: the tool of each of the n points.
        variance: share of the variance along each axis, `(2,)`.
    """
    figure, axes = new_figure(7, 4.5)
    names = np.asarray(tool_names)
    styles = zip(cycle(COLOURS), cycle(MARKERS), dict.fromkeys(tool_names), strict=False)
    for colour, marker, name in styles:
        x, y = points[names == name].T
        label = plain(name.replace("_", " "))
        axes.scatter(x, y, s=10, color=colour, marker=marker, alpha=0.6, linewidths=0, label=label)
    label_components(axes, variance)
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    return figure


def plot_demonstration(results: pd.DataFrame) -> Figure:
    """Plot accuracy by step, for each start the mean and the range over seeds."""
    figure, axes = new_figure(6, 3.8)
    for colour, (start, rows) in zip(COLOURS, results.groupby("start", sort=False), strict=False):
        curve = rows.groupby("step")["accuracy"].agg(["mean", "min", "max"])
        axes.plot(curve.index, curve["mean"], color=colour, label=str(start))
        band = curve["min"], curve["max"]
        axes.fill_between(curve.index, *band, color=colour, alpha=0.2, linewidth=0)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("step")
    axes.set_ylabel("accuracy on held-out requests")
    title = f"mean and range over {results['seed'].nunique()} seed(s)"
    axes.legend(frameon=False, fontsize="small", title=title)
    return figure
