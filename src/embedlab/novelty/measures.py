"""How well novelty scores separate sets of pairs, by RND and by established detectors.

Scores are greater for more novel items: `(m,)` by method (`rnd` or a detector), then set.
"""

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from embedlab.sources.novelty_pairs import PAIR_SETS
from embedlab.statistics.detection import auroc, delong_test, false_positive_rate
from embedlab.statistics.intervals import seed_interval

Scores = Mapping[str, Mapping[str, np.ndarray]]

# Known items, which each novel set is compared with.
KNOWN_SET = "held_out"

# The most novel first.
NOVEL_SETS = tuple(name for name in reversed(PAIR_SETS) if PAIR_SETS[name].is_novel)


def headline_set(names: Container[str]) -> str:
    """The most novel set among `names`: the one that ROC curves and comparisons show.

    Example:
        >>> headline_set(["train", "held_out", "other_solutions", "shuffled"])
        'shuffled'
    """
    return next(name for name in NOVEL_SETS if name in names)


def detect(scores: Scores) -> dict[str, dict[str, dict[str, float]]]:
    """AUROC and FPR@95 of each novel set against held-out items, by set, then method.

    The entry `held_out` compares held-out with training items, for RND only: its memorisation.
    """
    rnd = scores["rnd"]
    rates = {
        name: {method: _rates(of[name], of[KNOWN_SET]) for method, of in scores.items()}
        for name in NOVEL_SETS
        if name in rnd
    }
    return rates | {KNOWN_SET: {"rnd": _rates(rnd[KNOWN_SET], rnd["train"])}}


def compare_with_baselines(scores: Scores) -> dict[str, dict[str, dict[str, float | None]]]:
    """AUROC of RND minus that of each detector, with DeLong's test, by set, then detector.

    The test assumes independent items. Shuffled pairs reuse the problems and solutions of held-out
    pairs: there the intervals are too wide and the p-values too large.
    """
    rnd = scores["rnd"]
    return {
        name: {
            method: delong_test(rnd[name], rnd[KNOWN_SET], of[name], of[KNOWN_SET])
            for method, of in scores.items()
            if method != "rnd"
        }
        for name in NOVEL_SETS
        if name in rnd
    }


def summarise_seeds(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means and intervals over seeds, by set, then method, of auroc, fpr95 and rnd_lead.

    rnd_lead is the AUROC of RND minus that of the detector. The runs are those of `evaluate_run`.
    """
    summary: dict[str, Any] = {}
    for name in dict.fromkeys(name for run in runs for name in run["detection"]):
        complete = [run for run in runs if name in run["detection"]]
        methods = complete[0]["detection"][name]
        summary[name] = {method: _over_seeds(complete, name, method) for method in methods}
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
