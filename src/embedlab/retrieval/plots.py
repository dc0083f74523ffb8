"""Figures about retrieval quality, and about the vectors that are searched."""

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from embedlab.figure import error_bars, new_figure
from embedlab.statistics.detection import auroc

# Blue and grey of Okabe & Ito 2008, a palette for colour-blind readers too.
PAIR_COLOURS = {"relevant": "#0072b2", "random": "#8c8c8c"}


def plot_metric_bars(
    summaries: Mapping[str, Mapping[str, Mapping[str, Any]]], metric: str
) -> Figure:
    """Draw one bar per model with its interval, grouped by retrieval set.

    `summaries` has the output of `summarise_queries` by set, then by model, the same in each set.
    """
    models = list(next(iter(summaries.values())))
    inches = np.clip(1.2 + 0.4 * len(summaries) * (len(models) + 1), 4, 16)
    figure, axes = new_figure(inches, 3.6)
    width = 0.8 / len(models)
    centres = np.arange(len(summaries))
    for i, model in enumerate(models):
        mean, bars = error_bars(by_model[model][metric] for by_model in summaries.values())
        offset = (i - (len(models) - 1) / 2) * width
        axes.bar(centres + offset, mean, 0.9 * width, yerr=bars, capsize=3, label=model)
    rotation, alignment = (30, "right") if len(summaries) > 6 else (0, "center")
    axes.set_xticks(centres, list(summaries), rotation=rotation, ha=alignment)
    axes.set(ylim=(0, 1), ylabel=f"{metric} (95 % interval)")
    figure.legend(loc="outside upper center", ncols=min(len(models), 4), frameon=False)
    return figure


def plot_isotropy_spectrum(spectra: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the variance along the principal components, a line per model.

    Both axes are relative to the dimension, so models of different dimensions are comparable; an
    isotropic model is the horizontal line at 1. The shares of the variance `(d,)` by model are in
    descending order; zeros are not drawn.
    """
    figure, axes = new_figure(6, 3.8)
    axes.axhline(1, color="black", linewidth=1, linestyle="--", label="all equal")
    for model, spectrum in spectra.items():
        shares = np.asarray(spectrum)
        dimension = len(shares)
        axes.plot((np.arange(dimension) + 0.5) / dimension, dimension * shares, label=model)
    axes.set_yscale("log", nonpositive="mask")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set(xlim=(0, 1), xlabel="principal components, the greatest first")
    axes.set_ylabel("variance over the mean variance")
    axes.legend(frameon=False, fontsize="small")
    return figure


def plot_norms(norms: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw a box per model: median, quartiles, whiskers over the central 90 %, a dot at the mean.

    `norms` has the output of `describe_values` by model.
    """
    figure, axes = new_figure(6, 1.2 + 0.4 * len(norms))
    names = {"whislo": "p5", "q1": "p25", "med": "p50", "q3": "p75", "whishi": "p95"}
    boxes = [
        {"label": model, "mean": norm["mean"]} | {key: norm[name] for key, name in names.items()}
        for model, norm in norms.items()
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
    """Draw histograms of the distances of relevant `(a,)` and random `(b,)` pairs by model."""
    # One row of up to three plots, otherwise roughly a square.
    n_columns = len(distances) if len(distances) < 4 else isqrt(len(distances) - 1) + 1
    n_rows = -(-len(distances) // n_columns)
    size = (1 + 2.6 * n_columns, 0.9 + 2.2 * n_rows)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    plots = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, (model, pairs) in zip(plots, distances.items(), strict=False):
        bins = np.histogram_bin_edges(np.concatenate(pairs), 40)
        for values, (name, colour) in zip(pairs, PAIR_COLOURS.items(), strict=True):
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
