"""Figures of density weights, and of reward accuracy by density."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from embedlab.figure import error_bars, label_components, new_figure


def plot_weight_distribution(weights: np.ndarray) -> Figure:
    """Plot a histogram of weights `(n,)`, whose mean is 1."""
    figure, axes = new_figure(5.5, 3.4)
    axes.hist(weights, bins=min(60, max(5, len(weights) // 10)))
    axes.axvline(1, color="black", linewidth=1, linestyle="--", label="mean")
    axes.set(xlabel="density weight (greater = rarer)", ylabel="prefixes")
    axes.legend(frameon=False)
    return figure


def plot_density_map(points: np.ndarray, weights: np.ndarray, variance: np.ndarray) -> Figure:
    """Plot a map of points `(n, 2)` coloured by weight `(n,)`; greater weights cover others.

    `variance` has the share of each axis, `(2,)`.
    """
    figure, axes = new_figure(5.5, 4.5)
    order = np.argsort(weights, kind="stable")
    size = np.clip(8000 / len(points), 1, 30)
    x, y = points[order].T
    drawn = axes.scatter(x, y, c=weights[order], s=size, cmap="viridis", linewidths=0)
    figure.colorbar(drawn, ax=axes, label="density weight")
    label_components(axes, variance)
    return figure


def plot_quintile_accuracy(accuracies: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Figure:
    """Plot accuracy with its interval, by model, then density quintile; one line for each model."""
    figure, axes = new_figure(6, 3.8)
    num_models = len(accuracies)
    for i, (model, by_quintile) in enumerate(accuracies.items()):
        mean, bars = error_bars(by_quintile.values())
        # Models are drawn side by side, so that no interval hides another.
        x = np.array(list(by_quintile), dtype=float) + 0.12 * (i - (num_models - 1) / 2)
        axes.errorbar(x, mean, yerr=bars, marker="o", capsize=3, label=model)
    axes.axhline(0.5, color="grey", linewidth=1, linestyle=":")
    axes.set_xticks(range(1, 6), ["1\ncrowded", "2", "3", "4", "5\nrare"])
    axes.set(xlabel="density quintile of the prefix", ylabel="accuracy (95 % interval)")
    figure.legend(loc="outside upper center", ncols=min(num_models, 4), frameon=False)
    return figure
