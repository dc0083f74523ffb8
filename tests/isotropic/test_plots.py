from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from embedlab.isotropic.plots import plot_frontier, plot_training_curves

LABEL = "nDCG@10 on SciFact (points)"
BASE = {"name": "bge-small", "isotropy": 0.1, "ndcg": 72.0, "error": 3.0}
# A crowd near the base, and some apart.
POINTS = [
    {"name": f"lambda_isotropy = {i}", "isotropy": 0.1 + 0.004 * i, "ndcg": 72 + 0.1 * i}
    for i in range(6)
] + [
    {"name": "no contrastive", "isotropy": 0.9, "ndcg": 66.0, "error": 2.0},
    {"name": "mlp", "isotropy": 0.5, "ndcg": 60.0},
]


def history(n_steps: int) -> list[dict[str, float]]:
    """Rows of steps, then of validations, which have a mean loss too."""
    steps = range(1, n_steps + 1)
    return [
        *({"step": s, "contrastive": 2 / s, "reg": 0.0, "learning_rate_0": 1e-3} for s in steps),
        *({"step": s, "loss": 9.0, "nDCG@10": 0.6 - abs(s - 20) / 1000} for s in steps[9::10]),
    ]


def curves(rows: list[dict[str, float]]) -> Figure:
    return plot_training_curves(rows, ["loss", "contrastive", "reg"])


def frontier() -> Figure:
    return plot_frontier(POINTS, BASE, "IsoScore", LABEL)


FIGURES: dict[str, Callable[[], Figure]] = {
    "curves": lambda: curves(history(40)),
    "frontier": frontier,
}
# What a log axis or a scale could stumble over.
ODD: dict[str, Callable[[], Figure]] = {
    "no validation yet": lambda: curves(history(5)),
    "one step": lambda: curves(history(1)),
    "no positive loss": lambda: curves([{"step": 1, "reg": 0.0}]),
    "validations alone": lambda: curves(history(20)[20:]),
    "base alone": lambda: plot_frontier([], BASE, "IsoScore", LABEL),
    "same place": lambda: plot_frontier([BASE, BASE], BASE, "IsoScore", LABEL),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_an_image_that_names_its_axes(name: str, tmp_path: Path) -> None:
    figure = FIGURES[name]()
    path = tmp_path / "figure.png"
    figure.savefig(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert figure.axes[-1].get_xlabel() or figure.get_supxlabel()


@pytest.mark.parametrize("case", ODD)
def test_odd_input_is_drawn_within_finite_limits(case: str) -> None:
    with np.errstate(divide="raise", invalid="raise"):
        figure = ODD[case]()
        figure.draw_without_rendering()
    for axes in figure.axes:
        limits = np.array([axes.get_xlim(), axes.get_ylim()])
        assert np.isfinite(limits).all()
        assert (limits[:, 0] != limits[:, 1]).all()


def texts(figure: Figure, place: int) -> list[str]:
    legend = figure.axes[place].get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_curves_show_the_losses_of_steps_and_the_best_validation() -> None:
    figure = curves(history(40))
    (line,) = figure.axes[0].lines  # the variance regularisation is zero throughout
    np.testing.assert_allclose(line.get_ydata(), 2 / np.arange(1, 41))
    assert texts(figure, 0) == ["contrastive"]
    assert figure.axes[0].get_yscale() == "log"
    validation, best = figure.axes[1].lines
    assert list(validation.get_xdata()) == [10, 20, 30, 40]
    assert best.get_xydata().tolist() == [[20, 0.6]]
    assert texts(figure, 1) == ["best: 0.6000 at step 20"]


def test_a_history_read_from_a_table_is_drawn_the_same() -> None:
    rows = history(40)
    with_gaps = pd.DataFrame(rows).to_dict("records")
    for plain, read in zip(curves(rows).axes, curves(with_gaps).axes, strict=True):
        for one, other in zip(plain.lines, read.lines, strict=True):
            np.testing.assert_array_equal(one.get_xydata(), other.get_xydata())


def test_many_steps_are_smoothed_over_the_single_ones() -> None:
    rows = [{"step": step, "loss": 1 + step % 2} for step in range(2000)]
    smooth, single = curves(rows).axes[0].lines
    assert np.ptp(single.get_ydata()) == 1
    assert np.ptp(smooth.get_ydata()[10:-10]) < 0.2
    assert texts(curves(rows), 0) == ["loss"]


def test_frontier_names_every_point_by_a_marker_that_no_other_has() -> None:
    figure = frontier()
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["bge-small (base)", *(point["name"] for point in POINTS)]
    lines = [container.lines[0] for container in figure.axes[0].containers]
    assert [line.get_xydata().tolist() for line in lines] == [
        [[point["isotropy"], point["ndcg"]]] for point in (BASE, *POINTS)
    ]
    assert len({(line.get_marker(), line.get_color()) for line in lines}) == len(names)


def test_frontier_joins_what_no_other_beats_in_both() -> None:
    points = [
        {"name": "even", "isotropy": 0.9, "ndcg": 70.0},
        {"name": "better", "isotropy": 0.5, "ndcg": 73.0},
        {"name": "beaten", "isotropy": 0.4, "ndcg": 71.0},
        {"name": "worst", "isotropy": 0.05, "ndcg": 60.0},
    ]
    axes = plot_frontier(points, BASE, "IsoScore", LABEL).axes[0]
    joined = [line.get_xydata().tolist() for line in axes.lines if line.get_linestyle() == "-"]
    assert [[0.5, 73], [0.9, 70]] in joined
    assert axes.get_xlabel() == "isotropy (IsoScore)"
    assert axes.get_ylabel() == LABEL


def test_frontier_draws_the_intervals_that_are_known() -> None:
    heights = {}
    for container in frontier().axes[0].containers:
        for bars in container.lines[2]:
            (segment,) = bars.get_segments()
            heights[container.get_label()] = float(np.ptp(segment[:, 1]))
    assert heights == pytest.approx({"bge-small (base)": 6.0, "no contrastive": 4.0})
