"""Figures about isotropic retrieval: how it was learnt, what its vectors are like, what it costs.

A model has the same colour in every figure that is given the models in the same order.
"""

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import PercentFormatter
from matplotlib.transforms import Bbox, BboxBase

from embedlab.figure import new_figure
from embedlab.statistics.detection import auroc

# Points that a curve of training losses is smoothed to: what a figure can show.
SMOOTH_POINTS = 200

# Colours of Okabe & Ito 2008, told apart by colour-blind readers too.
NEAR, FAR, OWN = "#0072b2", "#8c8c8c", "#d55e00"

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


def plot_isotropy_spectrum(spectra: Mapping[str, Sequence[float]]) -> Figure:
    """Variance along the principal components, a line for each model.

    Both axes are relative to the dimension, so that models of different dimensions compare: an
    isotropic model is the level line at 1.

    Args:
        spectra: by model, shares of the variance `(d,)`, the greatest first; zeros are not drawn.
    """
    figure, axes = new_figure(6, 3.8)
    axes.axhline(1, color="black", linewidth=1, linestyle="--", label="all equal")
    for model, spectrum in spectra.items():
        shares = np.asarray(spectrum)
        dimension = len(shares)
        axes.plot((np.arange(dimension) + 0.5) / dimension, dimension * shares, label=model)
    axes.set_yscale("log", nonpositive="mask")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlim(0, 1)
    axes.set_xlabel("principal components, the greatest first")
    axes.set_ylabel("variance over the mean variance")
    axes.legend(frameon=False, fontsize="small")
    return figure


def plot_norms(norms: Mapping[str, Mapping[str, float]]) -> Figure:
    """A box for each model: quartiles and median, whiskers over the middle 90 %, a dot at the mean.

    Args:
        norms: by model, at least mean, p5, p25, p50, p75 and p95 of the norms of its vectors.
    """
    figure, axes = new_figure(6, 1.2 + 0.4 * len(norms))
    names = {"whislo": "p5", "q1": "p25", "med": "p50", "q3": "p75", "whishi": "p95"}
    boxes = [
        {"label": model, "mean": own["mean"]} | {key: own[name] for key, name in names.items()}
        for model, own in norms.items()
    ]
    drawn = axes.bxp(
        boxes,
        orientation="horizontal",
        showfliers=False,
        showmeans=True,
        patch_artist=True,
        widths=0.5,
        medianprops={"color": "black", "linewidth": 1.5},
        meanprops={"marker": "o", "markeredgecolor": "black", "markerfacecolor": "white"},
    )
    for i, box in enumerate(drawn["boxes"]):
        box.set(facecolor=f"C{i}", alpha=0.7)
    axes.set_xlim(left=0)
    axes.invert_yaxis()
    axes.set_xlabel("norm of the vectors")
    return figure


def plot_distances(distances: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Histograms of the distances of relevant and of random pairs, a plot for each model.

    Args:
        distances: by model, of relevant pairs `(a,)` and of random ones `(b,)`.
    """
    # One row of up to three plots, else about a square.
    n_columns = len(distances) if len(distances) < 4 else isqrt(len(distances) - 1) + 1
    n_rows = -(-len(distances) // n_columns)
    size = (1 + 2.6 * n_columns, 0.9 + 2.2 * n_rows)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    plots = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, (model, pairs) in zip(plots, distances.items(), strict=False):
        bins = np.histogram_bin_edges(np.concatenate(pairs), 40)
        for values, name, colour in zip(pairs, ("relevant", "random"), (NEAR, FAR), strict=True):
            share = np.full(len(values), 1 / len(values))
            axes.hist(values, bins=list(bins), weights=share, alpha=0.6, color=colour, label=name)
        axes.set_title(f"{model}, AUROC {auroc(pairs[1], pairs[0]):.3f}", fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    for axes in plots[len(distances) :]:
        axes.remove()
    figure.supxlabel("Euclidean distance of query and document", fontsize="medium")
    figure.supylabel("share of pairs", fontsize="medium")
    handles = figure.axes[0].get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False)
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
