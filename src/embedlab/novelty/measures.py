"""What novelty tells apart: scores of sets of items, by RND and by baselines, summed up.

A score is greater the more novel an item is; scores are kept by method, then set.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from embedlab.statistics.detection import auroc, delong_test, false_positive_rate
from embedlab.statistics.intervals import seed_interval

Scores = Mapping[str, Mapping[str, np.ndarray]]

KNOWN_SET = "held_out"
NOVEL_SETS = ("out_of_distribution", "shuffled", "other_solutions")


def detect(scores: Scores) -> dict[str, dict[str, dict[str, float]]]:
    """How well each method tells each novel set from held-out items, and RND those from training.

    Args:
        scores: `(m,)` of each set by method; `rnd` has a set `train` as well.

    Returns:
        AUROC and FPR@95 by set, then method.
    """
    found = {
        name: {method: _rates(own[name], own[KNOWN_SET]) for method, own in scores.items()}
        for name in NOVEL_SETS
        if name in scores["rnd"]
    }
    rnd = scores["rnd"]
    return found | {KNOWN_SET: {"rnd": _rates(rnd[KNOWN_SET], rnd["train"])}}


def compare_with_baselines(scores: Scores) -> dict[str, dict[str, dict[str, float | None]]]:
    """AUROC of RND less that of each baseline on the same items, with DeLong's test.

    The test takes items as independent. Shuffled pairs consist of the same problems and solutions
    as held-out ones: there its intervals are too wide, and its p-values too great.

    Args:
        scores: as in `detect`.

    Returns:
        Difference, interval and p-value by set, then baseline.
    """
    rnd = scores["rnd"]
    return {
        name: {
            method: delong_test(rnd[name], rnd[KNOWN_SET], own[name], own[KNOWN_SET])
            for method, own in scores.items()
            if method != "rnd"
        }
        for name in NOVEL_SETS
        if name in rnd
    }


def summarise_seeds(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and interval over seeds of what `detect` says of each run, and of RND's lead.

    Args:
        runs: each with the outputs of `detect` and `compare_with_baselines` under their names,
            `detection` and `against`.

    Returns:
        By set, then method: auroc, fpr95 and, for a baseline, how far RND's AUROC is above its.
    """
    summary: dict[str, Any] = {}
    for name in dict.fromkeys(name for run in runs for name in run["detection"]):
        having = [run for run in runs if name in run["detection"]]
        methods = having[0]["detection"][name]
        summary[name] = {method: _over_seeds(having, name, method) for method in methods}
    return summary


def _rates(novel: np.ndarray, known: np.ndarray) -> dict[str, float]:
    return {"auroc": auroc(novel, known), "fpr95": false_positive_rate(novel, known)}


def _over_seeds(runs: Sequence[Mapping[str, Any]], name: str, method: str) -> dict[str, Any]:
    cell = {
        rate: _interval([run["detection"][name][method][rate] for run in runs], lowest=0)
        for rate in ("auroc", "fpr95")
    }
    if method != "rnd":
        leads = [run["against"][name][method]["difference"] for run in runs]
        cell["rnd_lead"] = _interval(leads, lowest=-1)
    return cell


def _interval(values: Sequence[float], lowest: float) -> dict[str, Any]:
    """Mean, low, high and n_seeds, the ends limited to [lowest, 1]."""
    return {**seed_interval(values).clipped(lowest, 1.0)._asdict(), "n_seeds": len(values)}
