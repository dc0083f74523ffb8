from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from embedlab.retrieval.plots import (
    plot_distances,
    plot_isotropy_spectrum,
    plot_metric_bars,
    plot_norms,
)

RNG = np.random.default_rng(0)
DISTANCES = {
    "base": (RNG.normal(0.8, 0.1, 90), RNG.normal(1.2, 0.1, 400)),
    "isotropic": (RNG.normal(0.7, 0.1, 90), RNG.normal(1.4, 0.1, 400)),
}
NORM = {"mean": 1.02, "p5": 0.8, "p25": 0.9, "p50": 1.0, "p75": 1.1, "p95": 1.3}
SPECTRA = {"base": [0.7, 0.2, 0.1], "isotropic": [0.25] * 4}
# An axis or a scale of these might be empty.
EXACT = dict.fromkeys(NORM, 1.0)
SUMMARIES = {
    "scifact": {
        "bm25": {"nDCG@10": {"mean": 0.5, "low": 0.4, "high": 0.6}},
        # An interval of few queries may lie beside its mean.
        "base": {"nDCG@10": {"mean": 0.7, "low": 0.71, "high": 0.8}},
    }
}

FIGURES: dict[str, Callable[[], Figure]] = {
    "bars": lambda: plot_metric_bars(SUMMARIES, "nDCG@10"),
    "spectrum": lambda: plot_isotropy_spectrum(SPECTRA),
    "norms": lambda: plot_norms({"base": NORM, "isotropic": NORM}),
    "distances": lambda: plot_distances(DISTANCES),
    "few vectors": lambda: plot_isotropy_spectrum({"few": [0.6, 0.4, 0.0, 0.0]}),
    "nothing varies": lambda: plot_isotropy_spectrum({"collapsed": [0.0, 0.0]}),
    "unit norms": lambda: plot_norms({"base": EXACT}),
    "equal distances": lambda: plot_distances({"base": (np.ones(3), np.ones(5))}),
    "one pair": lambda: plot_distances({"base": (np.ones(1), np.zeros(1))}),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_drawn_without_a_warning_and_names_its_axes(name: str, tmp_path: Path) -> None:
    figure = FIGURES[name]()
    path = tmp_path / "figure.png"
    figure.savefig(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    axes = figure.axes[-1]
    assert axes.get_xlabel() or axes.get_ylabel() or figure.get_supxlabel()
    for one in figure.axes:
        limits = np.array([one.get_xlim(), one.get_ylim()])
        assert np.isfinite(limits).all()
        assert (limits[:, 0] != limits[:, 1]).all()


def test_spectra_are_relative_to_the_dimension() -> None:
    figure = FIGURES["spectrum"]()
    even, base, isotropic = figure.axes[0].lines
    assert set(even.get_ydata()) == {1}
    np.testing.assert_allclose(base.get_ydata(), [2.1, 0.6, 0.3])
    np.testing.assert_allclose(isotropic.get_ydata(), 1)
    np.testing.assert_allclose(isotropic.get_xdata(), [0.125, 0.375, 0.625, 0.875])
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["all equal", "base", "isotropic"]


def test_boxes_of_norms_stand_in_the_order_given_from_zero_on() -> None:
    axes = plot_norms({"base": EXACT, "isotropic": NORM}).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["base", "isotropic"]
    low, high = sorted(axes.get_ylim())
    assert axes.get_ylim() == (high, low)
    box = axes.patches[1].get_path().vertices[:, 0]
    assert (box.min(), box.max()) == (0.9, 1.1)
    assert axes.get_xlim()[0] == 0
    assert axes.get_xlim()[1] > 1.3


def test_distances_have_a_plot_for_each_model_with_its_auroc() -> None:
    pairs = (np.array([1.0, 2.0]), np.array([1.0, 3.0, 4.0]))
    figure = plot_distances({"bm": pairs, **DISTANCES, "mlp": pairs, "mpnet": pairs})
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0] == "bm, AUROC 0.750"
    assert [title.split(",")[0] for title in titles] == [
        "bm",
        "base",
        "isotropic",
        "mlp",
        "mpnet",
    ]
    for axes in figure.axes:
        shares = [sum(bar.get_height() for bar in bars) for bars in axes.containers]
        assert shares == pytest.approx([1, 1])
