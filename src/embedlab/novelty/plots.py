"""Figures about novelty: how it was learnt, how it tells sets apart, where it is high.

An experiment's sets are `train`, `held_out`, `other_solutions`, `shuffled` and
`out_of_distribution`; each may be absent but the first. A set looks the same in every figure.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from numpy.typing import ArrayLike
from scipy.stats import spearmanr
from sklearn.metrics import roc_curve

from embedlab.figure import label_components, legend_below, new_figure
from embedlab.novelty.measures import KNOWN_SET, NOVEL_SETS
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


# Colours of Okabe & Ito 2008, told apart by colour-blind readers too.
SETS = {
    "train": Style("train", "#8c8c8c", "o"),
    "held_out": Style("held-out", "#0072b2", "s"),
    "other_solutions": Style("other solutions", "#009e73", "D"),
    "shuffled": Style("shuffled", "#e69f00", "^"),
    "out_of_distribution": Style("out of distribution", "#d55e00", "X"),
}
METHODS = {
    "rnd": Style("RND", "black", "o"),
    "knn": Style("k-NN distance", "#56b4e9", "s"),
    "mahalanobis": Style("Mahalanobis", "#cc79a7", "D"),
    "isolation_forest": Style("isolation forest", "#7a9a01", "^"),
}


def ordered_methods(names: Iterable[str]) -> list[str]:
    """The methods in the order of every figure."""
    return sorted(names, key=list(METHODS).index)


def draw_experiment(
    name: str, result: Mapping[str, Any], figures: Mapping[str, Any]
) -> dict[str, Figure]:
    """Draw all figures of a finished experiment.

    Args:
        name: of the experiment.
        result: of the experiment, `ExperimentFolder.require(name)`.
        figures: tensors of its first seed, `ExperimentFolder.model(name)["figures"]`.

    Returns:
        A figure for each name in `FIGURES`.
    """
    runs, title = result["runs"], f"{name}, seed {result['runs'][0]['seed']}"
    novelty, nearest, points = (
        {set_name: tensor.numpy() for set_name, tensor in figures[kind].items()}
        for kind in ("novelty", "nearest", "points")
    )
    novel = next(set_name for set_name in NOVEL_SETS if set_name in novelty)
    roc = {
        method: (scores[novel].numpy(), scores[KNOWN_SET].numpy())
        for method, scores in {"rnd": figures["novelty"], **figures["scores"]}.items()
    }
    drawn = (
        plot_training_loss({run["seed"]: run["loss"] for run in runs}, name),
        plot_novelty_histograms(novelty, title),
        plot_normalised_novelty(novelty, title),
        plot_roc(roc, title),
        plot_novelty_by_distance(nearest, novelty, title),
        plot_novelty_map(points, novelty, figures["variance"].tolist(), title),
    )
    return dict(zip(FIGURES, drawn, strict=True))


def plot_training_loss(losses: Mapping[int, Sequence[float]], title: str) -> Figure:
    """The loss of each epoch, a line for each seed."""
    figure, axes = new_figure(5.5, 3.6, title)
    curves = _positive(losses)
    for seed, curve in curves.items():
        marker = "o" if len(curve) == 1 else ""
        axes.plot(1 + np.arange(len(curve)), curve, marker=marker, label=f"seed {seed}")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss (mean squared error)")
    axes.legend(frameon=False, ncols=1 + len(curves) // 8)
    return figure


def plot_novelty_histograms(novelty: Mapping[str, np.ndarray], title: str) -> Figure:
    """Histograms on common bins of equal width on the log axis, each of area 1 as seen.

    Other solutions are left out, as they would hide the rest.

    Args:
        novelty: of each set's items, `(m,)`; a zero stands a decade below the smallest other.
        title: names the experiment.
    """
    figure, axes = new_figure(6, 3.8, title)
    present = _present(novelty)
    values = _positive({name: present[name] for name in present if name != "other_solutions"})
    bins = np.geomspace(*_log_limits(values.values()), 41)
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
    axes.set_xscale("log")
    axes.set_xlabel("novelty (mean squared error)")
    axes.set_ylabel("density per decade")
    legend_below(figure)
    return figure


def plot_normalised_novelty(novelty: Mapping[str, np.ndarray], title: str) -> Figure:
    """A box for each set, in standard deviations of the training novelty from its mean.

    Boxes span the quartiles, whiskers the middle 90 %. The axis is linear within 1, logarithmic
    beyond, so that a heavy tail does not flatten the rest.

    Args:
        novelty: of each set's items, `(m,)`; `train` is needed. Left unscaled where all of
            `train` is equal.
        title: names the experiment.
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
    """The ROC curve of each method, with the area under it.

    Args:
        scores: by method, of the novel items `(a,)` and of the known ones `(b,)`.
        title: names the experiment.
    """
    figure, axes = new_figure(4.6, 4.8, title)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle=":", label="chance")
    for method in ordered_methods(scores):
        novel, known = scores[method]
        truth = np.repeat([1, 0], [len(novel), len(known)])
        flagged, found, _ = roc_curve(truth, np.concatenate([novel, known]))
        axes.plot(
            flagged,
            found,
            color=METHODS[method].colour,
            linewidth=2.6 if method == "rnd" else 1.4,
            zorder=3 if method == "rnd" else 2,
            label=f"{METHODS[method].label}, AUROC {auroc(novel, known):.3f}",
        )
    axes.set_aspect("equal")
    axes.set_xlabel("false positive rate (known items flagged)")
    axes.set_ylabel("true positive rate (novel items flagged)")
    axes.legend(loc="lower right", edgecolor="none", fontsize="small")
    return figure


def plot_novelty_by_distance(
    distance: Mapping[str, np.ndarray], novelty: Mapping[str, np.ndarray], title: str
) -> Figure:
    """Novelty against the distance to the nearest training vector, with their rank correlation.

    Args:
        distance: of the items of each set to be drawn, `(m,)`.
        novelty: of the same items, `(m,)`; a zero is drawn a decade below the smallest other.
        title: names the experiment.
    """
    figure, axes = new_figure(6, 4.4, title)
    distances = _present(distance)
    values = _positive({name: novelty[name] for name in distances})
    x, y = _joined(distances.values()), _joined(values.values())
    styles = [SETS[name] for name in values]
    colours = np.repeat([style.colour for style in styles], [len(v) for v in values.values()])
    # In random order, so that no set hides another.
    order = np.random.default_rng(0).permutation(len(x))
    axes.scatter(x[order], y[order], c=colours[order], s=12, alpha=0.6, linewidths=0)
    axes.set_yscale("log")
    axes.set_xlabel("distance to the nearest training vector")
    axes.set_ylabel("novelty (mean squared error)")
    handles = [_handle(style.label, style.colour, "o") for style in styles]
    legend_below(figure, handles, title=_correlation(x, y))
    return figure


def plot_novelty_map(
    points: Mapping[str, np.ndarray],
    novelty: Mapping[str, np.ndarray],
    variance: np.ndarray | Sequence[float],
    title: str,
) -> Figure:
    """A map of all sets, coloured by novelty.

    Args:
        points: of the items of each set to be drawn, `(m, 2)`.
        novelty: of the same items, `(m,)`; a zero is drawn a decade below the smallest other.
        variance: share of the variance along each axis, `(2,)`.
        title: names the experiment.
    """
    figure, axes = new_figure(6.4, 5, title)
    places = _present(points)
    values = _positive({name: novelty[name] for name in places})
    norm = LogNorm(*_log_limits(values.values()))
    size = np.clip(90_000 / sum(map(len, values.values())), 12, 36)
    for name, items in values.items():
        x, y = places[name].T
        drawn = axes.scatter(
            x,
            y,
            c=items,
            norm=norm,
            s=size,
            marker=SETS[name].marker,
            edgecolors="white",
            linewidths=0.25,
        )
    figure.colorbar(drawn, ax=axes, label="novelty (mean squared error)")
    label_components(axes, variance)
    # A set's markers have no one colour here, so the legend draws its own.
    legend_below(
        figure, [_handle(SETS[name].label, "dimgrey", SETS[name].marker) for name in values]
    )
    return figure


def _handle(label: str, colour: str, marker: str) -> Line2D:
    return Line2D([], [], linestyle="", color=colour, marker=marker, label=label)


def _present(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The sets that have items, in the order of every figure."""
    return {
        name: np.asarray(values[name], dtype=float) for name in SETS if len(values.get(name, ()))
    }


def _positive(values: Mapping[Any, ArrayLike]) -> dict[Any, np.ndarray]:
    """Values for a log axis: each zero becomes a tenth of the smallest other value."""
    arrays = {name: np.asarray(items, dtype=float) for name, items in values.items()}
    every = _joined(arrays.values())
    # Among zeros alone any place will do: the resolution of a float32.
    smallest = every[every > 0].min() if every.any() else np.finfo(np.float32).eps
    return {name: np.maximum(items, smallest / 10) for name, items in arrays.items()}


def _log_limits(values: Iterable[np.ndarray]) -> tuple[float, float]:
    """Ends of a log axis around all values, apart even if the values are equal."""
    every = _joined(values)
    centre = np.sqrt(every.min() * every.max())
    reach = max(1.02 * every.max() / centre, 2.0)
    return centre / reach, centre * reach


def _joined(arrays: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(arrays))


def _correlation(x: np.ndarray, y: np.ndarray) -> str:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return "no rank correlation: all values are equal"
    return f"Spearman correlation over all items: {spearmanr(x, y).statistic:.2f}"
