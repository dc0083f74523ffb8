"""Figures of an experiment and of a comparison; each set and method has one look in all.

`novelty` and `distance` `(m,)` and `points` `(m, 2)` are of m items, by the name of their set.
Zeros on a log axis are drawn at a tenth of the smallest positive value.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from numpy.typing import ArrayLike
from scipy.stats import spearmanr
from sklearn.metrics import roc_curve

from embedlab.figure import error_bars, label_components, legend_below, new_figure
from embedlab.novelty.comparison import aurocs
from embedlab.novelty.detectors import DETECTORS
from embedlab.novelty.measures import KNOWN_SET, headline_set
from embedlab.sources.novelty_pairs import PAIR_SETS
from embedlab.statistics.detection import auroc

# The figures of an experiment, in the order in which `draw_experiment` makes them.
FIGURES = (
    "training_loss",
    "novelty_histograms",
    "normalised_novelty",
    "roc",
    "novelty_by_distance",
    "novelty_map",
)


class Style(NamedTuple):
    """How a set or a method looks."""

    label: str
    colour: str
    marker: str


# Colours of Okabe & Ito 2008, which colour-blind readers can distinguish.
SET_COLOURS = ("#8c8c8c", "#0072b2", "#009e73", "#e69f00", "#d55e00")
DETECTOR_COLOURS = ("#56b4e9", "#cc79a7", "#7a9a01", "#b8860b")
SETS = {
    name: Style(PAIR_SETS[name].label, *look)
    for name, *look in zip(PAIR_SETS, SET_COLOURS, "osD^X", strict=True)
}
METHODS = {"rnd": Style("RND", "black", "o")} | {
    name: Style(DETECTORS[name].label, *look)
    for name, *look in zip(DETECTORS, cycle(DETECTOR_COLOURS), cycle("sD^v"), strict=False)
}


def draw_experiment(
    name: str, result: Mapping[str, Any], figures: Mapping[str, Any]
) -> dict[str, Figure]:
    """Draw the `FIGURES` of a finished experiment from what `ExperimentFolder` holds of it.

    `figures` are the tensors of its first seed.
    """
    runs, title = result["runs"], f"{name}, seed {result['runs'][0]['seed']}"
    novelty, novel = figures["novelty"], headline_set(figures["novelty"])
    roc = {
        method: (scores[novel].numpy(), scores[KNOWN_SET].numpy())
        for method, scores in {"rnd": novelty, **figures["scores"]}.items()
    }
    drawn = (
        plot_training_loss({run["seed"]: run["loss"] for run in runs}, name),
        plot_novelty_histograms(novelty, title),
        plot_normalised_novelty(novelty, title),
        plot_roc(roc, title),
        plot_novelty_by_distance(figures["nearest"], novelty, title),
        plot_novelty_map(figures["points"], novelty, figures["variance"].tolist(), title),
    )
    return dict(zip(FIGURES, drawn, strict=True))


def plot_training_loss(losses: Mapping[int, Sequence[float]], title: str) -> Figure:
    """The loss of each epoch, a line for each seed."""
    figure, axes = new_figure(5.5, 3.6, title)
    curves = _positive(losses)
    for seed, curve in curves.items():
        marker = "o" if len(curve) == 1 else ""
        axes.plot(1 + np.arange(len(curve)), curve, marker=marker, label=f"seed {seed}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(yscale="log", xlabel="epoch", ylabel="training loss (mean squared error)")
    axes.legend(frameon=False, ncols=1 + len(curves) // 8)
    return figure


def plot_novelty_histograms(novelty: Mapping[str, np.ndarray], title: str) -> Figure:
    """Histograms on a log axis, each of area 1, without `other_solutions`, which hide the rest."""
    figure, axes = new_figure(6, 3.8, title)
    present = _present(novelty)
    values = _positive({name: present[name] for name in present if name != "other_solutions"})
    bins = np.geomspace(*_log_limits(values), 41)
    decades = np.log10(bins[1] / bins[0])
    for name, items in values.items():
        outline = name == "shuffled"
        axes.hist(
            items,
            bins=list(bins),
            weights=np.full(len(items), 1 / (len(items) * decades)),
            histtype="step" if outline else "stepfilled",
            linewidth=1.6 if outline else 0,
            alpha=1 if outline else 0.55,
            color=SETS[name].colour,
            label=SETS[name].label,
        )
    axes.set(xscale="log", xlabel="novelty (mean squared error)", ylabel="density per decade")
    legend_below(figure)
    return figure


def plot_normalised_novelty(novelty: Mapping[str, np.ndarray], title: str) -> Figure:
    """A box for each set, in standard deviations of the training novelty from its mean.

    Boxes span the quartiles, whiskers the middle 90 %. The axis is linear from -1 to 1 and
    logarithmic beyond, so that a heavy tail does not flatten the rest.
    """
    values = _present(novelty)
    mean, deviation = values["train"].mean(), values["train"].std()
    scale = deviation if np.ptp(values["train"]) > 0 else 1.0
    figure, axes = new_figure(6, 1.4 + 0.5 * len(values), title)
    drawn = axes.boxplot(
        [(items - mean) / scale for items in values.values()],
        orientation="horizontal",
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        widths=0.6,
        medianprops={"color": "black", "linewidth": 1.5},
        tick_labels=[f"{SETS[name].label}\nn = {len(v):,}" for name, v in values.items()],
    )
    for box, name in zip(drawn["boxes"], values, strict=True):
        box.set(facecolor=SETS[name].colour, alpha=0.7)
    axes.axvline(0, color="grey", linewidth=1, linestyle=":")
    axes.set_xscale("symlog", linthresh=1, subs=range(2, 10))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    left, right = axes.get_xlim()
    axes.set_xlim(min(left, -1), max(right, 1))
    axes.invert_yaxis()
    axes.set_xlabel("standard deviations above the mean training novelty")
    return figure


def plot_roc(scores: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str) -> Figure:
    """The ROC curve of each method, from its scores of novel items `(a,)` and known ones `(b,)`."""
    figure, axes = new_figure(4.6, 4.8, title)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle=":", label="chance")
    for method in filter(scores.__contains__, METHODS):
        novel, known = scores[method]
        is_novel = np.repeat([1, 0], [len(novel), len(known)])
        flagged, found, _ = roc_curve(is_novel, np.concatenate([novel, known]))
        label = f"{METHODS[method].label}, AUROC {auroc(novel, known):.3f}"
        width, zorder = (2.6, 3) if method == "rnd" else (1.4, 2)
        colour = METHODS[method].colour
        axes.plot(flagged, found, color=colour, linewidth=width, zorder=zorder, label=label)
    axes.set(aspect="equal", xlabel="false positive rate (known items flagged)")
    axes.set_ylabel("true positive rate (novel items flagged)")
    axes.legend(loc="lower right", edgecolor="none", fontsize="small")
    return figure


def plot_novelty_by_distance(
    distance: Mapping[str, np.ndarray], novelty: Mapping[str, np.ndarray], title: str
) -> Figure:
    """Novelty against the distance to the nearest training vector, with their rank correlation."""
    figure, axes = new_figure(6, 4.4, title)
    distances = _present(distance)
    values = _positive({name: novelty[name] for name in distances})
    x, y = np.concatenate([*distances.values()]), np.concatenate([*values.values()])
    colours = np.repeat([SETS[name].colour for name in values], [*map(len, values.values())])
    # In random order, so that no set hides another.
    order = np.random.default_rng(0).permutation(len(x))
    axes.scatter(x[order], y[order], c=colours[order], s=12, alpha=0.6, linewidths=0)
    axes.set(yscale="log", xlabel="distance to the nearest training vector")
    axes.set_ylabel("novelty (mean squared error)")
    handles = [_handle(SETS[name]._replace(marker="o")) for name in values]
    legend_below(figure, handles, title=_correlation(x, y))
    return figure


def plot_novelty_map(
    points: Mapping[str, np.ndarray],
    novelty: Mapping[str, np.ndarray],
    variance: np.ndarray | Sequence[float],
    title: str,
) -> Figure:
    """A map of all sets, coloured by novelty; `variance` has the share of each axis, `(2,)`."""
    figure, axes = new_figure(6.4, 5, title)
    positions = _present(points)
    values = _positive({name: novelty[name] for name in positions})
    norm = LogNorm(*_log_limits(values))
    size = np.clip(90_000 / sum(map(len, values.values())), 12, 36)
    edges: dict[str, Any] = {"edgecolors": "white", "linewidths": 0.25}
    for name, items in values.items():
        x, y = positions[name].T
        marker = SETS[name].marker
        drawn = axes.scatter(x, y, c=items, norm=norm, s=size, marker=marker, **edges)
    figure.colorbar(drawn, ax=axes, label="novelty (mean squared error)")
    label_components(axes, variance)
    # Markers are coloured by novelty, so the legend shows them in grey.
    legend_below(figure, [_handle(SETS[name]._replace(colour="dimgrey")) for name in values])
    return figure


def plot_comparison(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """AUROC of each method, with its interval over seeds, in each row of `compare_experiments`."""
    novel = headline_set(rows[0])
    cells = [aurocs(row, novel) for row in rows]
    figure, axes = new_figure(7, 1.5 + 0.5 * len(rows), "Novelty by experiment")
    axes.axvline(0.5, color="grey", linewidth=1, linestyle=":", label="chance")
    methods = [method for method in METHODS if any(method in row for row in cells)]
    # Side by side, so that no interval hides another.
    offsets = 0.7 * ((np.arange(len(methods)) + 0.5) / len(methods) - 0.5)
    for method, offset in zip(methods, offsets, strict=True):
        mean, bars = error_bars([row[method] for row in cells if method in row])
        label, colour, marker = METHODS[method]
        y = np.flatnonzero([method in row for row in cells]) + offset
        size, width = (7, 2.4) if method == "rnd" else (4.5, 1.2)
        look: dict[str, Any] = {"markersize": size, "linewidth": width, "color": colour}
        axes.errorbar(mean, y, xerr=bars, linestyle="", marker=marker, label=label, **look)
    for row in range(1, len(rows), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="black", alpha=0.04, linewidth=0)
    axes.set_yticks(range(len(rows)), [row["experiment"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"AUROC, {SETS[novel].label} against held-out (interval over seeds)")
    legend_below(figure)
    return figure


def _handle(style: Style) -> Line2D:
    label, colour, marker = style
    return Line2D([], [], linestyle="", color=colour, marker=marker, label=label)


def _present(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The sets that have items, in the order of `SETS`."""
    return {
        name: np.asarray(values[name], dtype=float) for name in SETS if len(values.get(name, ()))
    }


def _positive(values: Mapping[Any, ArrayLike]) -> dict[Any, np.ndarray]:
    """Values for a log axis, without zeros."""
    arrays = {name: np.asarray(items, dtype=float) for name, items in values.items()}
    every = np.concatenate([*arrays.values()])
    smallest = every[every > 0].min() if every.any() else np.finfo(np.float32).eps
    return {name: np.maximum(items, smallest / 10) for name, items in arrays.items()}


def _log_limits(values: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """Ends of a log axis around all values, different ones even if all values are equal."""
    items = np.concatenate([*values.values()])
    centre = np.sqrt(items.min() * items.max())
    reach = max(1.02 * items.max() / centre, 2.0)
    return centre / reach, centre * reach


def _correlation(x: np.ndarray, y: np.ndarray) -> str:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return "no rank correlation: all values are equal"
    return f"Spearman correlation over all items: {spearmanr(x, y).statistic:.2f}"
