from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from embedlab.figure import new_figure
from embedlab.novelty.plots import (
    FIGURES,
    METHODS,
    SETS,
    draw_experiment,
    plot_comparison,
    plot_normalised_novelty,
    plot_novelty_by_distance,
    plot_novelty_histograms,
    plot_novelty_map,
    plot_roc,
    plot_training_loss,
)

TITLE = "wide predictor"
RNG = np.random.default_rng(0)
NOVELTY = {
    name: RNG.lognormal(place, 0.5, 80).astype(np.float32)
    for place, name in enumerate(SETS, start=-4)
}
DISTANCE = {name: 0.4 + 0.1 * np.log1p(items) for name, items in NOVELTY.items()}
POINTS = {name: RNG.standard_normal((80, 2)) for name in SETS}
SCORES = {name: (RNG.normal(1, 1, 60), RNG.normal(0, 1, 90)) for name in reversed(METHODS)}
LABELS = ["train", "held-out", "other solutions", "shuffled", "out of distribution"]
# Novelty that a log axis or a scale could stumble over.
ODD = {
    "one item": {"train": np.array([0.3]), "held_out": np.array([0.2])},
    "all equal": {"train": np.full(9, 0.3, np.float32), "shuffled": np.full(4, 0.3, np.float32)},
    "all zero": {"train": np.zeros(5), "out_of_distribution": np.zeros(1)},
    "some zero": {"train": np.array([0, 0, 1e-3]), "held_out": np.array([0.5, 0])},
    "an empty set": {"train": np.array([0.1, 0.2]), "held_out": np.array([])},
    "train alone": {"train": np.array([0.1, 0.2])},
}


def row(name: str, **means: float) -> dict[str, object]:
    cells = {m: {"auroc": {"mean": v, "low": v - 0.1, "high": v + 0.1}} for m, v in means.items()}
    return {"experiment": name, "shuffled": cells}


ROWS = [row("narrow", knn=0.7, rnd=0.8), row("wide", rnd=0.9, knn=0.6), row("untested")]
DRAWN: dict[str, Callable[[], Figure]] = {
    "loss": lambda: plot_training_loss({0: [0.3, 0.1], 7: [0.4, 0.2]}, TITLE),
    "histograms": lambda: plot_novelty_histograms(NOVELTY, TITLE),
    "normalised": lambda: plot_normalised_novelty(NOVELTY, TITLE),
    "roc": lambda: plot_roc(SCORES, TITLE),
    "distance": lambda: plot_novelty_by_distance(DISTANCE, NOVELTY, TITLE),
    "map": lambda: plot_novelty_map(POINTS, NOVELTY, (0.2, 0.1), TITLE),
}
ODD_FIGURES: dict[str, Callable[[dict[str, np.ndarray]], Figure]] = {
    "loss": lambda odd: plot_training_loss({0: list(odd["train"])}, TITLE),
    "histograms": lambda odd: plot_novelty_histograms(odd, TITLE),
    "normalised": lambda odd: plot_normalised_novelty(odd, TITLE),
    "distance": lambda odd: plot_novelty_by_distance(odd, odd, TITLE),
    "map": lambda odd: plot_novelty_map(
        {name: np.zeros((len(items), 2)) for name, items in odd.items()}, odd, (0, 0), TITLE
    ),
}


def legend(figure: Figure) -> list[str]:
    (shown,) = figure.legends or [figure.axes[0].get_legend()]
    return [text.get_text() for text in shown.get_texts()]


def fills(figure: Figure) -> list[str]:
    return [to_hex(patch.get_facecolor()) for patch in figure.axes[0].patches]


@pytest.mark.parametrize("name", DRAWN)
def test_figure_is_an_image_that_names_its_experiment_and_axes(name: str, tmp_path: Path) -> None:
    figure = DRAWN[name]()
    path = tmp_path / "figure.png"
    figure.savefig(path)
    axes = figure.axes[0]
    assert path.read_bytes().startswith(b"\x89PNG")
    assert axes.get_title() == TITLE
    assert axes.get_xlabel()
    assert np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all()


@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("name", ODD_FIGURES)
def test_odd_novelty_is_drawn_within_finite_limits(name: str, case: str) -> None:
    with np.errstate(divide="raise", invalid="raise"):
        figure = ODD_FIGURES[name](ODD[case])
        figure.draw_without_rendering()
    axes = figure.axes[0]
    limits = np.array([axes.get_xlim(), axes.get_ylim()])
    assert np.isfinite(limits).all()
    assert (limits[:, 0] != limits[:, 1]).all()


def test_loss_has_a_line_for_each_seed_from_the_first_epoch_on() -> None:
    figure = DRAWN["loss"]()
    lines = figure.axes[0].get_lines()
    assert legend(figure) == ["seed 0", "seed 7"]
    assert [list(line.get_xdata()) for line in lines] == [[1, 2], [1, 2]]
    assert list(lines[1].get_ydata()) == [0.4, 0.2]
    assert figure.axes[0].get_yscale() == "log"


def test_histograms_show_each_set_with_an_area_of_one_on_the_log_axis() -> None:
    figure = DRAWN["histograms"]()
    assert legend(figure) == [label for label in LABELS if label != "other solutions"]
    assert figure.axes[0].get_xscale() == "log"
    for patch in figure.axes[0].patches:
        x, y = np.log10(patch.get_xy()[:, 0]), patch.get_xy()[:, 1]
        # The shoelace formula; an outline ends on the axis, so it closes there.
        assert abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2 == pytest.approx(1)


def test_histogram_draws_zeros_apart_below_the_rest() -> None:
    figure = plot_novelty_histograms({"train": np.array([0.0, 1.0, 1.0])}, TITLE)
    (patch,) = figure.axes[0].patches
    x, y = patch.get_xy().T
    assert y[(x > 0.08) & (x < 0.12)].max() > 0
    assert y[(x > 0.2) & (x < 0.8)].max() == 0
    assert x.min() > 0.05


def test_boxes_count_standard_deviations_of_the_training_novelty() -> None:
    train = np.array([1.0, 2.0, 3.0])
    figure = plot_normalised_novelty({"shuffled": train + 10, "train": train}, TITLE)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        "train\nn = 3",
        "shuffled\nn = 3",
    ]
    low, high = sorted(axes.get_ylim())
    assert axes.get_ylim() == (high, low)  # train on top
    boxes = [patch.get_path().vertices[:, 0] for patch in axes.patches]
    deviation = train.std()
    np.testing.assert_allclose(
        [boxes[0].min(), boxes[0].max()], [-0.5 / deviation, 0.5 / deviation]
    )
    np.testing.assert_allclose(boxes[1].min(), 9.5 / deviation)


def test_whiskers_stop_short_of_a_heavy_tail() -> None:
    train = np.append(np.linspace(1, 2, 99), 1e6)
    left, right = plot_normalised_novelty({"train": train}, TITLE).axes[0].get_xlim()
    assert (left, right) == (-1, 1)  # the outlier, at about 10, is out of view


def test_roc_names_the_area_of_each_method_and_draws_rnd_boldest_and_on_top() -> None:
    scores = {
        "knn": (np.array([1.0, 2.0]), np.array([1.0, 0.0])),
        "rnd": (np.array([3.0, 4.0]), np.array([1.0, 2.0])),
    }
    figure = plot_roc(scores, TITLE)
    assert legend(figure) == ["chance", "RND, AUROC 1.000", "k-NN distance, AUROC 0.875"]
    diagonal, rnd, knn = figure.axes[0].get_lines()
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [0, 1]
    assert rnd.get_linewidth() > knn.get_linewidth()
    assert rnd.get_zorder() > knn.get_zorder()
    for curve in (rnd, knn):
        assert curve.get_xydata()[0].tolist() == [0, 0]
        assert curve.get_xydata()[-1].tolist() == [1, 1]
    # Drawn as a line, so a tie is worth half: the area under it is the area named.
    assert np.trapezoid(knn.get_ydata(), knn.get_xdata()) == pytest.approx(0.875)


def test_scatter_shows_every_item_in_its_colour_with_the_correlation() -> None:
    distance = {"held_out": np.array([3.0, 4.0]), "train": np.array([1.0, 2.0])}
    novelty = {"train": [0.1, 0.2], "held_out": [0.3, 0.4], "shuffled": [9.0]}
    figure = plot_novelty_by_distance(distance, novelty, TITLE)
    (drawn,) = figure.axes[0].collections
    shown = {
        (*map(float, place), to_hex(colour))
        for place, colour in zip(drawn.get_offsets(), drawn.get_facecolors(), strict=True)
    }
    grey, blue = SETS["train"].colour, SETS["held_out"].colour
    assert shown == {(1, 0.1, grey), (2, 0.2, grey), (3, 0.3, blue), (4, 0.4, blue)}
    assert legend(figure) == ["train", "held-out"]
    assert figure.legends[0].get_title().get_text().endswith("1.00")


def test_equal_novelty_has_no_correlation() -> None:
    figure = plot_novelty_by_distance(DISTANCE, {name: np.ones(80) for name in SETS}, TITLE)
    assert "all values are equal" in figure.legends[0].get_title().get_text()


def test_map_colours_all_sets_on_one_scale_with_a_marker_each() -> None:
    figure = DRAWN["map"]()
    axes, bar = figure.axes
    assert legend(figure) == LABELS
    assert bar.get_ylabel().startswith("novelty")
    assert "(20% of variance)" in axes.get_xlabel()
    assert "(10% of variance)" in axes.get_ylabel()
    drawn = axes.collections
    assert len({shape.get_paths()[0].vertices.tobytes() for shape in drawn}) == len(SETS)
    assert len({(shape.norm.vmin, shape.norm.vmax) for shape in drawn}) == 1
    values = np.concatenate(list(NOVELTY.values()))
    assert drawn[0].norm.vmin < values.min() < values.max() < drawn[0].norm.vmax


def test_a_set_has_the_same_colour_in_every_figure() -> None:
    names = ("train", "held_out", "shuffled")
    some = {name: NOVELTY[name] for name in names}
    colours = [SETS[name].colour for name in names]
    assert fills(plot_normalised_novelty(some, TITLE)) == colours
    assert fills(plot_novelty_histograms(some, TITLE))[:2] == colours[:2]
    handles = plot_novelty_by_distance(some, some, TITLE).legends[0].legend_handles
    assert [handle.get_color() for handle in handles] == colours


def test_an_experiment_has_all_figures_of_its_first_seed() -> None:
    result = {"runs": [{"seed": 3, "loss": [0.3, 0.1]}, {"seed": 4, "loss": [0.4, 0.2]}]}
    figures = {
        "novelty": {name: torch.tensor(items) for name, items in NOVELTY.items()},
        "nearest": {name: torch.tensor(items) for name, items in DISTANCE.items()},
        "points": {name: torch.tensor(items) for name, items in POINTS.items()},
        "scores": {"knn": {name: torch.tensor(items) for name, items in DISTANCE.items()}},
        "variance": torch.tensor([0.2, 0.1]),
    }
    drawn = draw_experiment("wide", result, figures)
    assert tuple(drawn) == FIGURES
    titles = {name: figure.axes[0].get_title() for name, figure in drawn.items()}
    assert titles == dict.fromkeys(FIGURES, "wide, seed 3") | {"training_loss": "wide"}
    assert [label.split(",")[0] for label in legend(drawn["roc"])[1:]] == ["RND", "k-NN distance"]


def test_every_set_and_method_has_its_own_look() -> None:
    for styles in (SETS, METHODS):
        assert len({style.marker for style in styles.values()}) == len(styles)
    colours = [style.colour for style in (*SETS.values(), *METHODS.values())]
    assert len(set(colours)) == len(colours)


def test_experiments_have_a_row_each_and_a_dot_with_its_interval_for_each_method() -> None:
    figure = plot_comparison(ROWS)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["narrow", "wide", "untested"]
    assert axes.get_ylim() == (2.5, -0.5)
    assert legend(figure) == ["chance", "RND", "k-NN distance"]
    assert axes.get_xlabel() == "AUROC, shuffled against held-out (interval over seeds)"
    chance, rnd, knn = axes.get_lines()
    assert list(chance.get_xdata()) == [0.5, 0.5]
    np.testing.assert_allclose(rnd.get_xdata(), [0.8, 0.9])
    np.testing.assert_allclose(knn.get_xdata(), [0.7, 0.6])
    assert np.round(rnd.get_ydata()).tolist() == np.round(knn.get_ydata()).tolist() == [0, 1]
    assert not set(rnd.get_ydata()) & set(knn.get_ydata())
    interval = axes.containers[0].lines[2][0].get_segments()[0]
    np.testing.assert_allclose(interval[:, 0], [0.7, 0.9])


def test_an_experiment_of_one_seed_is_a_dot_alone() -> None:
    rnd = {"auroc": {"mean": 0.8, "low": None, "high": None}}
    figure = plot_comparison([{"experiment": "a", "shuffled": {"rnd": rnd}}])
    figure.draw_without_rendering()
    assert list(figure.axes[0].get_lines()[1].get_xdata()) == [0.8]


def test_figure_grows_with_the_experiments() -> None:
    heights = [
        plot_comparison([row(f"{i}", rnd=0.8) for i in range(n)]).get_figheight()
        for n in (1, 10, 30)
    ]
    assert heights[0] < heights[1] < heights[2]


def test_new_figure_has_its_size_in_inches_and_no_frame() -> None:
    figure, axes = new_figure(5, 3)
    assert figure.get_size_inches().tolist() == [5, 3]
    assert not axes.spines["top"].get_visible()
    assert not axes.spines["right"].get_visible()
    assert axes.get_title() == ""
