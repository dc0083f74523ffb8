"""Figures of isotropic training: losses by step, and retrieval quality against isotropy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embedlab.figure import new_figure
from embedlab.isotropic.training import MEASURE

# Points of a smoothed loss curve: more would not be visible.
SMOOTH_POINTS = 200

# Vermilion of Okabe & Ito 2008, a palette for colour-blind readers too.
HIGHLIGHT = "#d55e00"

# With the ten colours of the cycle, these tell 70 models apart.
MARKERS = "osD^vPX"


def plot_training_curves(history: Sequence[Mapping[str, Any]], losses: Sequence[str]) -> Figure:
    """Plot losses by step, and the validation metric below.

    The axis of the losses is logarithmic: zeros leave gaps, and a loss that is never positive is
    left out. Losses of many steps are smoothed and drawn over the raw values.

    Args:
        history: rows with a `step` and either nDCG@10, for a validation, or losses. Missing values
            may be absent or NaN.
        losses: names of the losses to draw.
    """
    figure = Figure(figsize=(6, 5), dpi=150, layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 2))
    table = pd.DataFrame(history).reindex(columns=["step", MEASURE, *losses])
    is_validation = table[MEASURE].notna()
    for name in losses:
        _draw_loss(above, table.loc[~is_validation, ["step", name]].dropna(), name)
    above.set_yscale("log", nonpositive="mask")
    above.set_ylabel("training loss")
    if above.lines:
        above.legend(frameon=False, fontsize="small")
    if is_validation.any():
        _draw_validation(below, *table.loc[is_validation, ["step", MEASURE]].to_numpy().T)
    below.set_xlabel("step")
    below.set_ylabel(f"validation {MEASURE}")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_frontier(
    points: Sequence[Mapping[str, Any]], base: Mapping[str, Any], measure: str, label: str
) -> Figure:
    """Plot retrieval quality against isotropy, a point for each model, the base as a star.

    A line joins the Pareto-optimal models.

    Args:
        points: each with a `name`, `isotropy` (greater is more isotropic), `ndcg` and, optionally,
            `error`, the half-width of the interval of `ndcg`.
        base: the same for the base.
        measure: name of the isotropy measure, such as IsoScore.
        label: of the axis of `ndcg`, such as nDCG@10 on SciFact (points).
    """
    figure, axes = new_figure(7, 4.6)
    models = [dict(base, name=f"{base['name']} (base)"), *points]
    for i, model in enumerate(models):
        x, y = model["isotropy"], model["ndcg"]
        style, size = (f"{MARKERS[i % len(MARKERS)]}C{i % 10}", 6) if i else ("*k", 12)
        bars: dict[str, Any] = {"yerr": model.get("error"), "ecolor": "silver", "elinewidth": 1}
        axes.errorbar(x, y, fmt=style, markersize=size, label=model["name"], zorder=size, **bars)
    axes.axhline(base["ndcg"], color="grey", linewidth=1, linestyle=":")
    axes.axvline(base["isotropy"], color="grey", linewidth=1, linestyle=":")
    optimal = _pareto_front(np.array([[model["isotropy"], model["ndcg"]] for model in models]))
    axes.plot(*optimal.T, color=HIGHLIGHT, linewidth=1.2, alpha=0.6, zorder=1)
    axes.set_xlabel(f"isotropy ({measure})")
    axes.set_ylabel(label)
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    return figure


def _draw_loss(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    if not (rows[name] > 0).any():
        return
    window = max(1, len(rows) // SMOOTH_POINTS)
    smooth = rows[name].rolling(window, 1, center=True).mean()
    style = "--" if name == "loss" else "-"
    (line,) = axes.plot(rows["step"], smooth, linestyle=style, label=name)
    if window > 1:
        axes.plot(rows["step"], rows[name], color=line.get_color(), alpha=0.2, linewidth=0.5)


def _draw_validation(axes: Axes, steps: np.ndarray, values: np.ndarray) -> None:
    best = values.argmax()
    label = f"best: {values[best]:.4f} at step {steps[best]:,.0f}"
    axes.plot(steps, values, marker="o", markersize=3, color="black")
    axes.plot(steps[best], values[best], marker="o", color=HIGHLIGHT, linestyle="", label=label)
    axes.legend(frameon=False, fontsize="small")


def _pareto_front(points: np.ndarray) -> np.ndarray:
    """The points `(n, 2)` that no other exceeds in both coordinates, from left to right."""
    ordered = points[np.lexsort(-points.T[::-1])]  # from the right, the upper of equals first
    highest = np.maximum.accumulate(ordered[:, 1])
    return ordered[np.diff(highest, prepend=-np.inf) > 0][::-1]
