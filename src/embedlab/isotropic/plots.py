"""Figures about isotropic retrieval: how it was learnt, and what it costs.

A model has the same colour in every figure that is given the models in the same order.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox, BboxBase

from embedlab.figure import new_figure

# Points that a curve of training losses is smoothed to: what a figure can show.
SMOOTH_POINTS = 200

# Vermilion of Okabe & Ito 2008, a palette for colour-blind readers too.
OWN = "#d55e00"

# Where a name may stand seen from its point, the best place first.
DIRECTIONS = np.array([(1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)])
NAME_STYLE: dict[str, Any] = {
    "ha": "center",
    "va": "center",
    "fontsize": "small",
    "path_effects": [withStroke(linewidth=2, foreground="white")],
    "arrowprops": {"arrowstyle": "-", "linewidth": 0.5, "shrinkB": 4},
    # A name inside the plot takes no room beside it.
    "in_layout": False,
}


def plot_training_curves(
    history: Sequence[Mapping[str, Any]], losses: Sequence[str], metric: str = "nDCG@10"
) -> Figure:
    """Losses by step above, the validation metric below.

    Args:
        history: rows with a `step`; those with the metric are validations, and any other has
            losses. What is missing may be left out or NaN.
        losses: names of those to draw. On a log axis, where zeros leave gaps; one that is never
            positive is left out. Many steps are smoothed, with the single ones behind.
        metric: name of the validation metric; its best value is marked.
    """
    figure = Figure(figsize=(6, 5), dpi=150, layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 2))
    table = pd.DataFrame(history).reindex(columns=["step", metric, *losses])
    validated = table[metric].notna()
    for name in losses:
        _draw_loss(above, table.loc[~validated, ["step", name]].dropna(), name)
    above.set_yscale("log", nonpositive="mask")
    above.set_ylabel("training loss")
    if above.lines:
        above.legend(frameon=False, fontsize="small")
    if validated.any():
        _draw_validation(below, *table.loc[validated, ["step", metric]].to_numpy().T)
    below.set_xlabel("step")
    below.set_ylabel(f"validation {metric}")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_frontier(
    points: Sequence[Mapping[str, Any]], base: Mapping[str, Any], measure: str, label: str
) -> Figure:
    """Retrieval quality against isotropy, a point for each model, with the base for comparison.

    A line joins the models, base included, that no other beats in both. Names are put
    where they hide neither points nor one another, as long as there is room.

    Args:
        points: each with a `name`, `isotropy` (greater is more isotropic), `ndcg` and, if it is
            known, `error`, the half-width of the interval of `ndcg`.
        base: the same for the base.
        measure: the measure of isotropy, such as IsoScore.
        label: says what `ndcg` is, such as nDCG@10 on SciFact (points).
    """
    every = [base, *points]
    figure, axes = new_figure(7, 4.6)
    x, y = np.array([[point["isotropy"], point["ndcg"]] for point in every], dtype=float).T
    error = [point.get("error") or 0 for point in every]
    axes.axhline(y[0], color="grey", linewidth=1, linestyle=":")
    axes.axvline(x[0], color="grey", linewidth=1, linestyle=":")
    axes.errorbar(x, y, yerr=error, linestyle="", color="silver", linewidth=1, zorder=1)
    best = _undominated(x, y)
    axes.plot(x[best], y[best], color=OWN, linewidth=1.2, alpha=0.6)
    axes.scatter(x[1:], y[1:], color=OWN, s=28, zorder=3)
    axes.scatter(x[0], y[0], color="black", marker="*", s=110, zorder=3)
    axes.set_xlabel(f"isotropy ({measure})")
    axes.set_ylabel(label)
    axes.margins(0.1)
    names = [f"{base['name']} (base)", *(point["name"] for point in points)]
    _name_points(figure, axes, names, x, y)
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
    axes.plot(steps[best], values[best], marker="o", color=OWN, linestyle="", label=label)
    axes.legend(frameon=False, fontsize="small")


def _undominated(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Numbers of the points `(n,)` that no other is above and right of, from left to right."""
    order = np.lexsort((-y, -x))  # from the right
    highest = np.maximum.accumulate(y[order])
    rises = np.diff(highest, prepend=-np.inf) > 0
    return order[rises][::-1]


def _name_points(
    figure: Figure, axes: Axes, names: Sequence[str], x: np.ndarray, y: np.ndarray
) -> None:
    """Write each name as near its point as there is room, and join them."""
    figure.draw_without_rendering()  # the layout must be settled
    pixels = figure.dpi / 72
    points = axes.transData.transform(np.column_stack([x, y]))
    taken = [_box(point, np.full(2, 7 * pixels)) for point in points]
    for name, across, up, point in zip(names, x, y, points, strict=True):
        text = axes.annotate(name, (across, up), (0, 0), textcoords="offset points", **NAME_STYLE)
        size = np.ptp(text.get_window_extent().get_points(), axis=0) + 2 * pixels
        offset = _free_offset(point, size, 5 * pixels, axes.bbox, taken)
        text.set_position(tuple(offset / pixels))
        taken.append(_box(point + offset, size))


def _free_offset(
    point: np.ndarray, size: np.ndarray, step: float, frame: BboxBase, taken: Sequence[Bbox]
) -> np.ndarray:
    """How far from a point the middle of a text has room, looking ever farther from it."""
    offsets = [
        reach * step * direction + np.sign(direction) * size / 2
        for reach in range(1, 30)
        for direction in DIRECTIONS
    ]
    for offset in offsets:
        box = _box(point + offset, size)
        inside = frame.contains(*box.min) and frame.contains(*box.max)
        if inside and not box.count_overlaps(taken):
            return offset
    return offsets[0]


def _box(centre: np.ndarray, size: np.ndarray) -> Bbox:
    return Bbox([centre - size / 2, centre + size / 2])
