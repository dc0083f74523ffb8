import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from embedlab.errors import InputError
from embedlab.retrieval.comparison import average, average_weights, compare_models, holm
from embedlab.retrieval.tables import evaluation_latex, evaluation_rows, format_comparison

METRIC = "nDCG@10"


def table(values) -> pd.DataFrame:
    return pd.DataFrame({"query_id": [f"q{i}" for i in range(len(values))], METRIC: values})


def compare(tables: dict, **options) -> dict:
    options = {"num_resamples": 500, "max_permutations": 2000, "seed": 0} | options
    return compare_models(tables, "base", [METRIC], **options)


@settings(deadline=None)
@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=8), st.floats(0.01, 0.2))
def test_holm_rejects_as_the_step_down_procedure_does(p_values: list[float], level: float) -> None:
    rejected = set()
    for step, i in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[i] * (len(p_values) - step) > level:
            break
        rejected.add(int(i))
    corrected = holm(p_values)
    assert {i for i, p in enumerate(corrected) if p <= level} == rejected
    assert all(p <= q <= 1 for p, q in zip(p_values, corrected, strict=True))


def test_holm_of_known_values() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_a_difference_has_its_interval_test_and_counts() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(60)
    better = base + rng.normal(0.1, 0.2, 60)
    better[:5] = base[:5]
    cell = compare({"a": {"base": table(base), "new": table(better)}})["sets"]["a"]["new"][METRIC]
    difference = better - base
    assert cell["difference"] == pytest.approx(difference.mean())
    assert cell["low"] < cell["difference"] < cell["high"]
    assert cell["p_value"] == pytest.approx(stats.ttest_1samp(difference, 0).pvalue, abs=0.01)
    assert (cell["wins"], cell["losses"], cell["ties"]) == (
        (difference > 0).sum(),
        (difference < 0).sum(),
        5,
    )


def test_correction_is_over_the_sets_of_one_model() -> None:
    base = np.zeros(6)
    good, none = np.full(6, 0.1), np.array([0.1, -0.1] * 3)
    tables = {
        "a": {"base": table(base), "new": table(good), "other": table(none)},
        "b": {"base": table(base), "new": table(good), "other": table(none)},
    }
    sets = compare(tables)["sets"]
    for cells in sets.values():
        assert cells["new"][METRIC]["p_value"] == 2 / 64
        assert cells["new"][METRIC]["p_holm"] == 4 / 64
        assert cells["other"][METRIC]["p_holm"] == 1.0


def test_the_average_weighs_sets_alike_whatever_their_size() -> None:
    rng = np.random.default_rng(1)
    small, large = rng.normal(0.5, 0.1, 10), rng.normal(-0.1, 0.1, 400)
    tables = {
        "small": {"base": table(np.zeros(10)), "new": table(small)},
        "large": {"base": table(np.zeros(400)), "new": table(large)},
    }
    cell = compare(tables)["average"]["new"][METRIC]
    assert cell["mean"] == cell["difference"] == pytest.approx((small.mean() + large.mean()) / 2)
    spread = np.sqrt(small.var() / 10 + large.var() / 400) / 2
    assert cell["high"] - cell["low"] == pytest.approx(2 * 1.96 * spread, rel=0.15)
    assert cell["p_value"] < 0.05


def test_forums_count_as_one_set() -> None:
    weights = average_weights(["scifact", "cqadupstack-android", "cqadupstack-tex"])
    assert weights == {"scifact": 0.5, "cqadupstack-android": 0.25, "cqadupstack-tex": 0.25}
    assert average({"scifact": 1.0, "cqadupstack-tex": 0.0, "cqadupstack-gis": 0.5}) == 0.625


def test_a_set_of_several_forums_has_their_average() -> None:
    rng = np.random.default_rng(2)
    scores = {"cqadupstack-gis": rng.random(30), "scifact": rng.random(20)}
    scores["cqadupstack-tex"] = rng.random(200)
    tables = {
        name: {"base": table(values / 2), "new": table(values)} for name, values in scores.items()
    }
    comparison = compare(tables)
    assert list(comparison["groups"]) == ["cqadupstack"]
    cell = comparison["groups"]["cqadupstack"]["new"][METRIC]
    mean = (scores["cqadupstack-gis"].mean() + scores["cqadupstack-tex"].mean()) / 2
    assert cell["mean"] == pytest.approx(mean)
    assert cell["difference"] == pytest.approx(mean / 2)
    assert cell["low"] < cell["difference"] < cell["high"]
    assert cell["p_value"] < 0.05
    average_cell = comparison["average"]["new"][METRIC]
    assert average_cell["mean"] == pytest.approx((mean + scores["scifact"].mean()) / 2)
    header = evaluation_latex(comparison, METRIC).splitlines()[4]
    assert header == r"model & average & cqadupstack & scifact \\"
    rows = evaluation_rows({}, comparison)
    assert rows["set"].drop_duplicates().tolist() == [*scores, "cqadupstack", "average"]
    assert "cqadupstack " in format_comparison(comparison, METRIC)


def test_one_forum_is_no_group() -> None:
    cells = {"base": table([0.5]), "new": table([0.6])}
    assert compare({"cqadupstack-tex": cells, "scifact": cells})["groups"] == {}


def test_other_queries_than_the_baseline_s_are_one_clear_line() -> None:
    tables = {"a": {"base": table([0.1, 0.2]), "new": table([0.1])}}
    with pytest.raises(InputError, match=r"new\.a\.query_metrics has other queries than"):
        compare(tables)


def test_the_table_marks_the_best_and_the_significant() -> None:
    base, good, bad = np.full(12, 0.5), np.full(12, 0.7), np.full(12, 0.2)
    tables = {
        "a_b": {"base": table(base), "good": table(good), "bad": table(bad)},
        "c": {"base": table(base), "good": table(base), "bad": table(bad)},
    }
    lines = evaluation_latex(compare(tables), METRIC).splitlines()
    rows = {line.split(" & ")[0]: line for line in lines if " & " in line}
    assert rows["model"] == r"model & average & a\_b & c \\"
    assert rows["base"] == r"base & 50.0 & 50.0 & \textbf{50.0} \\"
    assert rows["good"] == (
        r"good & \textbf{60.0}$^{\dagger}$ & \textbf{70.0}$^{\dagger}$ & \textbf{50.0} \\"
    )
    assert rows["bad"].count(r"20.0$^{\ddagger}$") == 3


def test_rows_have_every_number() -> None:
    tables = {"a": {"base": table([0.1, 0.2]), "new": table([0.3, 0.2])}}
    summary = {"n_queries": 2, METRIC: {"mean": 0.25, "low": 0.2, "high": 0.3}}
    rows = evaluation_rows({"a": {"new": summary}}, compare(tables)).set_index(["set", "model"])
    row = rows.loc[("a", "new")]
    assert row[["n_queries", "mean", "low", "high", "wins", "ties"]].tolist() == [
        *(2, 0.25, 0.2, 0.3),
        *(1, 1),
    ]
    assert row["difference"] == pytest.approx(0.1)
    assert pd.isna(rows.loc[("a", "base"), "difference"])
    assert pd.isna(rows.loc[("average", "new"), "wins"])
