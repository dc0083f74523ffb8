from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from embedlab.resource_encoder.plots import (
    plot_demonstration,
    plot_exact_match,
    plot_loss,
    plot_weights,
)

RNG = np.random.default_rng(0)
HISTORY = [
    *({"step": step, "loss": 5 / step} for step in range(1, 41)),
    *({"step": step, "validation_loss": 4 / step} for step in range(10, 41, 10)),
]
FIELDS = ("description", "tool_name", "input_size", "latency_ms")
RATES = {
    "configurations": dict.fromkeys(FIELDS, 1.0),
    "unseen jittered values": dict(zip(FIELDS, (0.1, 1, 0.9, 0.3), strict=True)),
}
TOOLS = np.repeat([f"tool_{i}" for i in range(7)], 5)
RESULTS = pd.DataFrame(
    [
        {"start": start, "seed": seed, "step": step, "accuracy": (step + 2 * seed) / 50}
        for start in ("exported", "random", "shuffled")
        for seed in (0, 1, 2)
        for step in (0, 20, 40)
    ]
)


def weights(n_tools: int = 7) -> Figure:
    names = [f"tool_{i % n_tools}" for i in range(35)]
    return plot_weights(RNG.normal(size=(35, 2)), names, np.array([0.4, 0.3]))


FIGURES: dict[str, Callable[[], Figure]] = {
    "loss": lambda: plot_loss(HISTORY, 0.01),
    "exact match": lambda: plot_exact_match(RATES),
    "weights": weights,
    "demonstration": lambda: plot_demonstration(RESULTS),
}
ODD: dict[str, Callable[[], Figure]] = {
    "no validation yet": lambda: plot_loss(HISTORY[:5], 0.01),
    "one step": lambda: plot_loss(HISTORY[:1], 0.01),
    "no positive loss": lambda: plot_loss([{"step": 1, "loss": 0.0}], 0.01),
    "no history": lambda: plot_loss([], 0.01),
    "one set": lambda: plot_exact_match({"configurations": {"description": 0.0}}),
    "one tool": lambda: weights(1),
    "many tools": lambda: weights(20),
    "tool with dollars": lambda: plot_weights(np.eye(2), ["a $\\x$", "$5_$6"], np.ones(2)),
    "one seed": lambda: plot_demonstration(RESULTS[RESULTS["seed"] == 0]),
    "nothing learnt": lambda: plot_demonstration(RESULTS.assign(accuracy=0.0)),
    "one measurement": lambda: plot_demonstration(RESULTS[RESULTS["step"] == 0]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_an_image_that_names_its_axes(name: str, tmp_path: Path) -> None:
    figure = FIGURES[name]()
    path = tmp_path / "figure.png"
    figure.savefig(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert figure.axes[0].get_xlabel()


@pytest.mark.parametrize("case", ODD)
def test_odd_input_is_drawn_within_finite_limits(case: str) -> None:
    with np.errstate(divide="raise", invalid="raise"):
        figure = ODD[case]()
        figure.draw_without_rendering()
    (axes,) = figure.axes
    limits = np.array([axes.get_xlim(), axes.get_ylim()])
    assert np.isfinite(limits).all()
    assert (limits[:, 0] != limits[:, 1]).all()


def test_losses_are_drawn_to_the_target_on_a_log_axis() -> None:
    axes = plot_loss(HISTORY, 0.02).axes[0]
    loss, validation, target = axes.lines
    np.testing.assert_allclose(loss.get_ydata(), 5 / np.arange(1, 41))
    assert list(validation.get_xdata()) == [10, 20, 30, 40]
    assert set(target.get_ydata()) == {0.02}
    assert axes.get_yscale() == "log"


def test_a_row_may_have_both_losses_or_gaps() -> None:
    both = [{"step": 5, "loss": 1.0, "validation_loss": 0.5}, {"step": 9, "loss": 0.7}]
    axes = plot_loss(both, 0.01).axes[0]
    assert [line.get_xydata().tolist() for line in axes.lines[:2]] == [
        [[5, 1], [9, 0.7]],
        [[5, 0.5]],
    ]
    gaps = pd.DataFrame(HISTORY).to_dict("records")
    drawn = (plot_loss(rows, 1).axes[0].lines for rows in (gaps, HISTORY))
    for one, other in zip(*drawn, strict=True):
        np.testing.assert_array_equal(one.get_xydata(), other.get_xydata())


def test_each_set_has_a_bar_for_each_field() -> None:
    axes = plot_exact_match(RATES).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        "description",
        "tool name",
        "input size",
        "latency ms",
    ]
    widths = [[bar.get_width() for bar in bars] for bars in axes.containers]
    assert widths == [[1, 1, 1, 1], [0.1, 1, 0.9, 0.3]]
    assert "10.0%" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("n_tools", [7, 20])
def test_each_tool_has_a_distinct_style(n_tools: int) -> None:
    figure = weights(n_tools)
    points = figure.axes[0].collections
    styles = {(*c.get_facecolor()[0], c.get_paths()[0].vertices.tobytes()) for c in points}
    assert len(styles) == n_tools
    assert sum(len(c.get_offsets()) for c in points) == 35
    assert figure.axes[0].get_xlabel() == "principal component 1 (40% of variance)"


def test_the_demonstration_has_a_mean_in_a_band_for_each_start() -> None:
    axes = plot_demonstration(RESULTS).axes[0]
    assert [line.get_label() for line in axes.lines] == ["exported", "random", "shuffled"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.04, 0.44, 0.84])
    band = axes.collections[0].get_paths()[0].vertices
    assert {tuple(np.round(v, 6)) for v in band} >= {(0, 0), (0, 0.08), (40, 0.8), (40, 0.88)}
