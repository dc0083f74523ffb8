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
from matplotlib.ticker import PercentFormatter

from embedlab.figure import new_figure
from embedlab.isotropic.training import MEASURE
from embedlab.statistics.detection import auroc

# Points of a smoothed loss curve: more would not be visible.
SMOOTH_POINTS = 200

# Colours of Okabe & Ito 2008, told apart by colour-blind readers too.
NEAR, FAR, OWN = "#0072b2", "#8c8c8c", "#d55e00"

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
    axes.plot(*optimal.T, color=OWN, linewidth=1.2, alpha=0.6, zorder=1)
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
    axes.plot(steps[best], values[best], marker="o", color=OWN, linestyle="", label=label)
    axes.legend(frameon=False, fontsize="small")


def _pareto_front(points: np.ndarray) -> np.ndarray:
    """The points `(n, 2)` that no other exceeds in both coordinates, from left to right."""
    ordered = points[np.lexsort(-points.T[::-1])]  # from the right, the upper of equals first
    highest = np.maximum.accumulate(ordered[:, 1])
    return ordered[np.diff(highest, prepend=-np.inf) > 0][::-1]
