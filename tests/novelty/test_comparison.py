import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedlab.novelty.comparison import (
    aurocs,
    compare_experiments,
    format_latex,
    format_table,
)
from embedlab.novelty.measures import (
    compare_with_baselines,
    detect,
    summarise_seeds,
)
from embedlab.novelty.training import ExperimentParameters
from embedlab.statistics.description import describe_values

BASELINES = ("knn", "isolation_forest")

# Few distinct scores, so that some are tied.
SCORES = st.lists(st.integers(-2, 3), min_size=1, max_size=12).map(np.float32)


def planted(seed: int = 0, **shifts: float) -> dict[str, dict[str, np.ndarray]]:
    """Scores of 40 items per set, shifted by `shifts` for RND and by half of that for detectors."""
    rng = np.random.default_rng(seed)
    novel = {name: rng.normal(shift, 1, 40) for name, shift in ({"held_out": 0} | shifts).items()}
    scores = {"rnd": {**novel, "train": rng.normal(-1, 1, 40)}}
    for method in BASELINES:
        scores[method] = {
            name: values - shifts.get(name, 0) / 2 + rng.normal(0, 0.3, 40)
            for name, values in novel.items()
        }
    return {
        method: {name: v.astype(np.float32) for name, v in by_set.items()}
        for method, by_set in scores.items()
    }


def run_of(scores: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """What is reported of one seed."""
    return {"detection": detect(scores), "against": compare_with_baselines(scores)}


def as_json(value: Any) -> Any:
    """Write and read a value; fails for what is not JSON."""
    return json.loads(json.dumps(value, allow_nan=False))


# --- one run -------------------------------------------------------------------------------------


@given(SCORES)
def test_novelty_is_described_by_mean_deviation_extremes_and_percentiles(scores) -> None:
    found = describe_values(scores)
    assert list(found) == ["mean", "std", "min", "max", "p5", "p25", "p50", "p75", "p95"]
    assert found["mean"] == pytest.approx(scores.mean(), abs=1e-6)
    assert found["std"] == pytest.approx(scores.std(), abs=1e-6)
    ordered = [found[name] for name in ("min", "p5", "p25", "p50", "p75", "p95", "max")]
    assert ordered == sorted(ordered)
    assert found["p50"] == pytest.approx(np.median(scores))
    assert (found["min"], found["max"]) == (scores.min(), scores.max())
    assert as_json(found) == found


def test_the_mean_of_large_scores_is_exact() -> None:
    # Sums of so many float32 lose the last digits.
    scores = np.tile(np.array([1e8, 1e8 + 8], dtype=np.float32), 50_000)
    assert describe_values(scores)["mean"] == 1e8 + 4
    assert describe_values(scores)["std"] == 4


def test_detection_is_by_set_then_method_of_novel_items_against_held_out_ones() -> None:
    scores = {
        "rnd": {
            "train": np.array([0.0, 0.5, 0.6, 2.0]),
            "held_out": np.array([1.0, 2.0, 3.0, 4.0]),
            "shuffled": np.array([1.0, 2.0, 3.0, 4.0]),
            "out_of_distribution": np.array([3.5, 5.0, 6.0, 7.0]),
        },
        "knn": {
            "held_out": np.array([5.0, 6.0, 7.0, 8.0]),
            "shuffled": np.array([9.0, 9.0, 9.0, 9.0]),
            "out_of_distribution": np.array([8.0, 1.0, 1.0, 1.0]),
        },
    }
    assert detect(scores) == {
        "out_of_distribution": {
            "rnd": {"auroc": 15 / 16, "fpr95": 0.25},
            "knn": {"auroc": 3.5 / 16, "fpr95": 1.0},
        },
        "shuffled": {"rnd": {"auroc": 0.5, "fpr95": 1.0}, "knn": {"auroc": 1.0, "fpr95": 0.0}},
        # Held-out against training items: how much was memorised.
        "held_out": {"rnd": {"auroc": 14.5 / 16, "fpr95": 0.25}},
    }


@settings(max_examples=50, deadline=None)
@given(*[SCORES] * 3, st.integers(0, 5))
def test_the_lead_over_a_baseline_is_the_difference_of_what_is_detected(
    novel, known, train, seed: int
) -> None:
    mix = np.random.default_rng(seed).permutation
    scores = {
        "rnd": {"train": train, "held_out": known, "shuffled": novel},
        "knn": {"held_out": mix(known), "shuffled": -novel},
    }
    found, against = detect(scores)["shuffled"], compare_with_baselines(scores)
    assert list(against["shuffled"]) == ["knn"]
    lead = against["shuffled"]["knn"]["difference"]
    assert lead == pytest.approx(found["rnd"]["auroc"] - found["knn"]["auroc"])


def test_a_planted_lead_is_significant_and_none_is_not() -> None:
    scores = planted(shuffled=2.0, other_solutions=0.0)
    scores["same"] = {name: scores["rnd"][name] for name in ("held_out", "shuffled")}
    del scores["isolation_forest"]
    scores["same"]["other_solutions"] = scores["rnd"]["other_solutions"]
    against = compare_with_baselines(scores)
    ahead, equal = against["shuffled"]["knn"], against["shuffled"]["same"]
    assert ahead["low"] > 0
    assert ahead["p_value"] < 0.01
    assert equal == {"difference": 0, "low": 0, "high": 0, "p_value": 1}
    assert against["other_solutions"]["knn"]["p_value"] > 0.05


@pytest.mark.parametrize(
    "present",
    [[], ["shuffled"], ["other_solutions", "shuffled"], ["out_of_distribution", "shuffled"]],
)
def test_absent_sets_are_absent_from_every_summary(present: list[str]) -> None:
    runs = [run_of(planted(seed, **dict.fromkeys(present, 1.0))) for seed in range(3)]
    assert set(runs[0]["detection"]) == {*present, "held_out"}
    assert set(runs[0]["against"]) == set(present)
    summary = summarise_seeds(runs)
    assert set(summary) == {*present, "held_out"}
    assert set(summary["held_out"]) == {"rnd"}
    for name in present:
        assert list(summary[name]) == ["rnd", *BASELINES]


def test_one_item_a_set_is_enough_and_all_is_json() -> None:
    one = {
        name: np.float32([value]) for value, name in enumerate(("train", "held_out", "shuffled"))
    }
    run = run_of({"rnd": one, "knn": one})
    assert run["detection"]["shuffled"]["rnd"] == {"auroc": 1.0, "fpr95": 0.0}
    assert run["against"]["shuffled"]["knn"]["p_value"] is None
    summary = summarise_seeds([run])
    assert as_json([run, summary]) == [run, summary]


# --- over seeds ----------------------------------------------------------------------------------


def seed_run(auroc: float, fpr95: float, baseline: float) -> dict[str, Any]:
    """A run in which RND and a baseline have these rates on shuffled pairs."""
    return {
        "detection": {
            "shuffled": {
                "rnd": {"auroc": auroc, "fpr95": fpr95},
                "knn": {"auroc": baseline, "fpr95": 0.5},
            },
            "held_out": {"rnd": {"auroc": 0.5, "fpr95": 0.95}},
        },
        "against": {"shuffled": {"knn": {"difference": auroc - baseline}}},
    }


def test_intervals_over_seeds_are_of_student_and_cut_where_rates_end() -> None:
    runs = [seed_run(0.7, 0.3, 0.7), seed_run(0.8, 0.2, 0.2), seed_run(0.9, 0.1, 0.9)]
    summary = summarise_seeds(runs)
    # The 97.5 % point of Student's t with 2 degrees of freedom is 4.302653.
    margin = 4.302653 * 0.1 / np.sqrt(3)
    rnd, knn = summary["shuffled"]["rnd"], summary["shuffled"]["knn"]
    assert rnd["auroc"] == pytest.approx(
        {"mean": 0.8, "low": 0.8 - margin, "high": 1.0, "n_seeds": 3}
    )
    assert rnd["fpr95"] == pytest.approx(
        {"mean": 0.2, "low": 0.0, "high": 0.2 + margin, "n_seeds": 3}
    )
    assert knn["fpr95"] == pytest.approx({"mean": 0.5, "low": 0.5, "high": 0.5, "n_seeds": 3})
    # A lead may be behind as well; those of the seeds are 0, 0.6 and 0.
    margin = 4.302653 * 0.6 / 3
    lead = {"mean": 0.2, "low": 0.2 - margin, "high": 1.0, "n_seeds": 3}
    assert knn["rnd_lead"] == pytest.approx(lead)
    assert "rnd_lead" not in rnd


def test_the_lead_of_a_baseline_is_cut_where_it_ends() -> None:
    runs = [seed_run(0.0, 1.0, baseline) for baseline in (0.9, 0.2)]
    lead = summarise_seeds(runs)["shuffled"]["knn"]["rnd_lead"]
    assert lead == pytest.approx({"mean": -0.55, "low": -1.0, "high": 1.0, "n_seeds": 2})


def test_one_seed_has_no_interval() -> None:
    cell = summarise_seeds([seed_run(0.7, 0.3, 0.6)])["shuffled"]["knn"]
    assert cell["auroc"] == {"mean": 0.6, "low": None, "high": None, "n_seeds": 1}
    assert (cell["rnd_lead"]["low"], cell["rnd_lead"]["high"]) == (None, None)


def test_the_mean_over_seeds_is_of_the_runs_and_all_is_json() -> None:
    runs = [run_of(planted(seed, out_of_distribution=1.0, shuffled=0.2)) for seed in range(4)]
    summary = summarise_seeds(runs)
    for name in ("out_of_distribution", "shuffled"):
        for method in ("rnd", *BASELINES):
            values = [run["detection"][name][method]["auroc"] for run in runs]
            interval = summary[name][method]["auroc"]
            assert interval["mean"] == pytest.approx(np.mean(values))
            assert 0 <= interval["low"] < interval["mean"] < interval["high"] <= 1
    assert summary["out_of_distribution"]["rnd"]["auroc"]["low"] > 0.5
    assert as_json([runs, summary]) == [runs, summary]


# --- experiments beside each other ---------------------------------------------------------------


def result(name: str, num_seeds: int = 2, **shifts: float) -> dict[str, Any]:
    """What is saved of an experiment, as read from its file."""
    runs = [
        {
            **run_of(planted(seed, **shifts)),
            "loss": [0.9, 0.1 * (seed + 1)],
            "seconds": {"train": 2.0, "score": 50.0},
        }
        for seed in range(num_seeds)
    ]
    parameters = ExperimentParameters(encoder_name="minilm", num_seeds=num_seeds)
    saved: dict[str, Any] = as_json(
        {
            "name": name,
            "configuration": parameters.model_dump(mode="json"),
            "embedding_dim": 768,
            "summary": summarise_seeds(runs),
            "runs": runs,
        }
    )
    return saved


def test_a_row_has_settings_last_loss_seconds_and_the_summary() -> None:
    saved = result("baseline_minilm", out_of_distribution=1.0)
    [row] = compare_experiments([saved])
    assert row["experiment"] == "baseline_minilm"
    assert (row["encoder_name"], row["embedding_dim"], row["num_seeds"]) == ("minilm", 768, 2)
    assert (row["target_layers"], row["predictor_layers"]) == ([256, 64], [512, 64])
    assert row["last_loss"] == pytest.approx(0.15)
    assert row["seconds"] == 4.0
    assert row["out_of_distribution"] == saved["summary"]["out_of_distribution"]
    assert as_json(row) == row


def test_aurocs_are_those_of_each_method_and_none_of_an_absent_set() -> None:
    [row] = compare_experiments([result("a", shuffled=1.0)])
    found = aurocs(row, "shuffled")
    assert list(found) == ["rnd", *BASELINES]
    assert found["rnd"] == row["shuffled"]["rnd"]["auroc"]
    assert aurocs(row, "out_of_distribution") == {}


def cell(mean: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"auroc": {"mean": mean, "low": low, "high": high, "n_seeds": 3}}


ROWS = [
    {
        "experiment": "few_samples",
        "out_of_distribution": {"rnd": cell(0.98765, 0.97, 1.0), "isolation_forest": cell(0.5)},
        "shuffled": {"rnd": cell(0.0612, 0.0, 0.1234)},
        "held_out": {"rnd": cell(0.6)},
    },
    {"experiment": "a&b_100%", "shuffled": {"rnd": cell(0.5, 0.4, 0.6)}},
]


def test_the_table_has_a_row_an_experiment_with_points_and_intervals() -> None:
    table = format_table(ROWS[:1])
    assert table.to_dict("records") == [
        {
            "experiment": "few_samples",
            "OOD rnd": "98.8 [97.0, 100.0]",
            "OOD isolation_forest": "50.0",
            "shuffled rnd": "6.1 [0.0, 12.3]",
        }
    ]


def test_an_experiment_without_a_set_leaves_its_cells_empty() -> None:
    table = format_table(ROWS)
    assert table["experiment"].tolist() == ["few_samples", "a&b_100%"]
    assert table["shuffled rnd"].tolist() == ["6.1 [0.0, 12.3]", "50.0 [40.0, 60.0]"]
    assert table[["OOD rnd", "OOD isolation_forest"]].iloc[1].isna().all()
    assert table.to_csv(index=False).splitlines()[2] == 'a&b_100%,,,"50.0 [40.0, 60.0]"'


def test_latex_has_the_cells_of_the_table_with_special_characters_escaped() -> None:
    table = format_table(ROWS)
    lines = format_latex(table).splitlines()
    assert lines[0] == r"\begin{tabular}{llll}"
    assert [line for line in lines if line.endswith("rule")] == [
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
    ]
    rows = [line.removesuffix(r" \\").split(" & ") for line in lines if line.endswith(r"\\")]
    assert rows[0] == ["experiment", "OOD rnd", r"OOD isolation\_forest", "shuffled rnd"]
    assert rows[1] == [r"few\_samples", "98.8 [97.0, 100.0]", "50.0", "6.1 [0.0, 12.3]"]
    assert (rows[2][0], rows[2][3]) == (r"a\&b\_100\%", "50.0 [40.0, 60.0]")


def test_the_rows_of_experiments_become_the_table_in_their_order() -> None:
    saved = [result(name, out_of_distribution=shift) for name, shift in (("z", 0.5), ("a", 3.0))]
    table = format_table(compare_experiments(saved))
    assert table["experiment"].tolist() == ["z", "a"]
    means = pd.to_numeric(table["OOD rnd"].str.split(" ").str[0])
    expected = [
        100 * one["summary"]["out_of_distribution"]["rnd"]["auroc"]["mean"] for one in saved
    ]
    np.testing.assert_allclose(means, expected, atol=0.05)
    assert means[0] < means[1]
