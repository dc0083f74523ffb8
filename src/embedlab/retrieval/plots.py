"""Figures about retrieval quality."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from embedlab.figure import new_figure


def plot_metric_bars(
    values: np.ndarray, retrieval_sets: Sequence[str], models: Sequence[str], label: str
) -> Figure:
    """One bar a model, grouped by retrieval set, with the interval of each.

    Args:
        values: mean, lower and upper end, `(s, m, 3)`.
        retrieval_sets: the s names of the groups.
        models: the m names of the bars.
        label: the metric's name.
    """
    n_sets, n_models = len(retrieval_sets), len(models)
    inches = np.clip(1.2 + 0.4 * n_sets * (n_models + 1), 4, 16)
    figure, axes = new_figure(inches, 3.6)
    width = 0.8 / n_models
    centres = np.arange(n_sets)
    for i, model in enumerate(models):
        mean, low, high = values[:, i].T
        offset = (i - (n_models - 1) / 2) * width
        # An interval of few queries may lie beside its mean; an error bar cannot be negative.
        reach = np.maximum([mean - low, high - mean], 0)
        axes.bar(centres + offset, mean, 0.9 * width, yerr=reach, capsize=3, label=model)
    rotation, alignment = (30, "right") if n_sets > 6 else (0, "center")
    axes.set_xticks(centres, retrieval_sets, rotation=rotation, ha=alignment)
    axes.set_ylim(0, 1)
    axes.set_ylabel(f"{label} (95 % interval)")
    figure.legend(loc="outside upper center", ncols=min(n_models, 4), frameon=False)
    return figure
