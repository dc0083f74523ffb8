"""Parts that all figures share: axes in one style, legend, axis labels of maps, error bars."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embedlab.statistics.intervals import Interval


def new_figure(width: float, height: float, title: str = "") -> tuple[Figure, Axes]:
    """Make an empty figure of one plot, of `width` and `height` in inches."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize="medium")
    return figure, axes


def legend_below(
    figure: Figure, handles: Sequence[Artist] | None = None, title: str | None = None
) -> None:
    """Add a legend in one row below the plot, by default of all labelled artists."""
    if handles is None:
        handles, _ = figure.axes[0].get_legend_handles_labels()
    style = {"ncols": len(handles), "columnspacing": 1.5, "frameon": False, "fontsize": "small"}
    figure.legend(handles=handles, loc="outside lower center", title=title, **style)


def plain(text: str) -> str:
    """Text of the data as a label: matplotlib would read a formula between two dollar signs."""
    return text.replace("$", r"\$")


def label_components(axes: Axes, variance: np.ndarray | Sequence[float]) -> None:
    """Label the axes of a map by principal component and share of the variance, `(2,)`."""
    for axis, name, share in zip((axes.xaxis, axes.yaxis), "12", variance, strict=True):
        axis.set_label_text(f"principal component {name} ({share:.0%} of variance)")


def error_bars(cells: Iterable[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Read the means `(m,)` and error bars `(2, m)` of m intervals; an end of None gets no bar."""
    mean, low, high = np.array([Interval.of(cell) for cell in cells], dtype=float).T
    return mean, np.maximum([mean - low, high - mean], 0)


def plot_message(text: str) -> Figure:
    """Make a figure that shows a text only, for example why there is nothing to plot."""
    figure = Figure(figsize=(5, 2), dpi=150)
    figure.text(0.5, 0.5, plain(text), ha="center", va="center", wrap=True, fontsize="small")
    return figure
