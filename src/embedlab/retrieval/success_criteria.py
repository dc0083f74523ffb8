"""Success criteria of a paper on isotropic retrieval, checked against what a run measured."""

from collections.abc import Mapping
from typing import Any

from embedlab.retrieval.comparison import average, base_set
from embedlab.sources.beir_sets import FULL, NOT_DOWNLOADABLE

METRIC = "nDCG@10"
# The sets of BEIR that anyone can download: the usual average is over them.
PUBLIC_SETS = tuple(name for name in FULL if name not in NOT_DOWNLOADABLE)

# A value, None if there is none, and what exactly was measured or why it was not.
Measured = tuple[float | None, str]
NOT_REPORTED = None, f"{METRIC} is not in evaluation.reported"

# The criterion on each measured quantity, with its threshold.
CRITERIA = {
    "beir_average": "BEIR average nDCG@10 > {} %",
    "improvement": "improvement over the baseline > +{} %",
    "isotropy": "isotropy score > {:.2f}",
    "training_seconds": "training time documented",
    "baselines": "{} or more baselines compared",
    "ablations": "ablation studies of {} or more variants",
}
COUNTS = ("baselines", "ablations")
LEVELS: dict[str, dict[str, float | None]] = {
    "minimum viable paper": {
        **{"beir_average": 45, "improvement": 1, "isotropy": 0.90},
        **{"training_seconds": None, "baselines": 3},
    },
    "strong paper": {
        **{"beir_average": 48, "improvement": 2, "isotropy": 0.93},
        **{"ablations": 1, "baselines": 5},
    },
    # Extensive ablations: each of four losses removed or added, two other contrastive losses,
    # another isotropy loss and weight, another architecture and initialisation.
    "top-tier paper": {"beir_average": 50, "ablations": 10},
}
# Criteria that no run can measure, each with the reason.
NOT_JUDGED = {
    "strong paper": {
        "analysis of when and why the method works": "people write it: evaluation_examples and the "
        "wins and losses in evaluation_comparison show when, isotropic_ablations shows why"
    },
    "top-tier paper": {
        "new state of the art on 3 or more sets": "a run does not read published results",
        "theoretical analysis of isotropy": "people write it",
        "released code and checkpoints": "a run does not publish",
    },
}


def success_criteria(
    comparison: Mapping[str, Any],
    isotropy: Mapping[str, Mapping[str, Any]],
    model: str,
    training_seconds: float | None = None,
    num_ablations: int | None = None,
) -> dict[str, Any]:
    """Check every criterion of every level.

    If the model was not compared, no criterion is measured, and `isotropy`, the output of
    `isotropy` by set, then by model, is not read.

    Returns:
        By level: `verdict`; `criteria`, each with criterion, threshold, measured, what (what was
        measured, or why it was not) and verdict; `not_judged`, the criteria that no run can
        measure, each with criterion and reason. A verdict is `pass`, `fail` or `not measured`; a
        level fails if one of its criteria fails, and passes if all of them pass.
    """
    measured = _measure(comparison, isotropy, model, training_seconds, num_ablations)
    levels = {}
    for level, thresholds in LEVELS.items():
        rows = [_check(name, value, *measured[name]) for name, value in thresholds.items()]
        verdicts = [row["verdict"] for row in rows]
        verdict = next((v for v in ("fail", "not measured") if v in verdicts), "pass")
        not_judged = [{"criterion": c, "reason": r} for c, r in NOT_JUDGED.get(level, {}).items()]
        levels[level] = {"verdict": verdict, "criteria": rows, "not_judged": not_judged}
    return levels


def _check(name: str, threshold: float | None, value: float | None, what: str) -> dict[str, Any]:
    """Counts must reach the threshold, other quantities exceed it; None: any value passes."""
    verdict = "not measured"
    if value is not None:
        passed = threshold is None or value > threshold or (name in COUNTS and value == threshold)
        verdict = "pass" if passed else "fail"
    row = {"criterion": CRITERIA[name].format(threshold), "threshold": threshold}
    return row | {"measured": value, "what": what, "verdict": verdict}


def _measure(
    comparison: Mapping[str, Any],
    isotropy: Mapping[str, Mapping[str, Any]],
    model: str,
    training_seconds: float | None,
    num_ablations: int | None,
) -> dict[str, Measured]:
    """Every quantity that a criterion names."""
    if model not in comparison["average"]:
        reason = "no isotropic model is among the models; run isotropic_retrieval first"
        return dict.fromkeys(CRITERIA, (None, reason))
    others = [name for name in comparison["average"] if name != model]
    seconds = "seconds of the last training, as isotropic_summary has them"
    return {
        "beir_average": _beir_average(comparison, model),
        "improvement": _improvement(comparison, model),
        "isotropy": _isotropy(isotropy, model, comparison["baseline"]),
        "training_seconds": (training_seconds, seconds),
        "baselines": (len(others), f"models compared with: {', '.join(others)}"),
        "ablations": (num_ablations, "variants in isotropic_ablations, if this run has any"),
    }


def _beir_average(comparison: Mapping[str, Any], model: str) -> Measured:
    if METRIC not in comparison["metrics"]:
        return NOT_REPORTED
    means = {name: models[model][METRIC]["mean"] for name, models in comparison["sets"].items()}
    missing = set(PUBLIC_SETS) - set(map(base_set, means))
    if missing:
        return None, (
            f"{len(missing)} of BEIR's {len(PUBLIC_SETS)} public sets were not evaluated; the "
            f"average {METRIC} of {model} over {', '.join(means)} is {100 * average(means):.2f} %"
        )
    public = {name: mean for name, mean in means.items() if base_set(name) in PUBLIC_SETS}
    what = f"average {METRIC} of {model} over BEIR's {len(PUBLIC_SETS)} public sets, in percent"
    return 100 * average(public), what


def _improvement(comparison: Mapping[str, Any], model: str) -> Measured:
    if METRIC not in comparison["metrics"]:
        return NOT_REPORTED
    baseline = comparison["baseline"]
    if model == baseline:
        return None, f"{model} is the baseline itself; choose another evaluation.baseline"
    cell = comparison["average"][model][METRIC]
    return 100 * cell["difference"], (
        f"{METRIC} of {model} less that of {baseline}, in points, on the average over "
        f"{', '.join(comparison['sets'])}; 95 % interval {100 * cell['low']:.2f} to "
        f"{100 * cell['high']:.2f}, paired randomisation test p = {cell['p_value']:.4f}"
    )


def _isotropy(isotropy: Mapping[str, Mapping[str, Any]], model: str, baseline: str) -> Measured:
    """IsoScore, the only measure that is called isotropy and lies between 0 and 1."""
    means = {
        name: sum(models[name]["isoscore"] for models in isotropy.values()) / len(isotropy)
        for name in (model, baseline)
        if all(name in models for models in isotropy.values())  # a lexical baseline has no vectors
    }
    listed = ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())
    return means[model], (
        f"IsoScore (Rudman et al. 2022) of the documents' vectors, mean over {', '.join(isotropy)} "
        f"({listed}); other measures are in isotropy_metrics"
    )
