"""Success criteria of a paper on isotropic retrieval, checked against what a run measured."""

from collections.abc import Callable, Mapping
from operator import ge, gt
from typing import Any, NamedTuple

from embedlab.retrieval.comparison import average, base_set
from embedlab.sources.beir_sets import FULL, NOT_DOWNLOADABLE

METRIC = "nDCG@10"
# The sets of BEIR that anyone can download: the usual average is over them.
PUBLIC_SETS = tuple(name for name in FULL if name not in NOT_DOWNLOADABLE)

# A value, None if there is none, and what exactly was measured or why it was not.
Measured = tuple[float | None, str]
NOT_REPORTED = None, f"{METRIC} is not in evaluation.reported"


class Criterion(NamedTuple):
    """Passes if `compare(value, threshold)`; without a threshold, if there is a value."""

    text: str
    quantity: str
    threshold: float | None = None
    compare: Callable[[float, float], bool] = gt


LEVELS = {
    "minimum viable paper": (
        Criterion("BEIR average nDCG@10 > 45 %", "beir_average", 45),
        Criterion("improvement over the baseline > +1 %", "improvement", 1),
        Criterion("isotropy score > 0.90", "isotropy", 0.90),
        Criterion("training time documented", "training_seconds"),
        Criterion("3 or more baselines compared", "baselines", 3, ge),
    ),
    "strong paper": (
        Criterion("BEIR average nDCG@10 > 48 %", "beir_average", 48),
        Criterion("improvement over the baseline > +2 %", "improvement", 2),
        Criterion("isotropy score > 0.93", "isotropy", 0.93),
        Criterion("ablation studies included", "ablations", 1, ge),
        Criterion("5 or more baselines compared", "baselines", 5, ge),
    ),
    "top-tier paper": (
        Criterion("BEIR average nDCG@10 > 50 %", "beir_average", 50),
        # Each of four losses removed or added, two other contrastive losses, another isotropy loss
        # and weight, another architecture and initialisation.
        Criterion("extensive ablations: 10 or more variants", "ablations", 10, ge),
    ),
}
# Criteria that no run can measure, with the reason.
NOT_JUDGED = {
    "strong paper": {
        "analysis of when and why the method works": "people write it: evaluation_examples and the "
        "wins and losses in evaluation_comparison show when, isotropic_ablations shows why",
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

    Args:
        comparison: output of `compare_models`.
        isotropy: output of `isotropy`, by set, then by model; not read if `model` is not compared.
        model: the model to check. If it was not compared, no criterion is measured.
        training_seconds: duration of its training, if known.
        num_ablations: number of variants in the ablation study, if there was one.

    Returns:
        By level: `verdict`; `criteria`, each with criterion, threshold, measured, what (what was
        measured, or why it was not) and verdict; `not_judged`, the criteria that no run can
        measure, each with criterion and reason. A verdict is `pass`, `fail` or `not measured`; a
        level fails if one of its criteria fails, and passes if all of them pass.
    """
    measured = _measure(comparison, isotropy, model, training_seconds, num_ablations)
    levels = {}
    for level, criteria in LEVELS.items():
        rows = [_check(criterion, *measured[criterion.quantity]) for criterion in criteria]
        verdicts = [row["verdict"] for row in rows]
        verdict = next((v for v in ("fail", "not measured") if v in verdicts), "pass")
        not_judged = [{"criterion": c, "reason": r} for c, r in NOT_JUDGED.get(level, {}).items()]
        levels[level] = {"verdict": verdict, "criteria": rows, "not_judged": not_judged}
    return levels


def _check(criterion: Criterion, value: float | None, what: str) -> dict[str, Any]:
    text, _, threshold, compare = criterion
    verdict = "not measured"
    if value is not None:
        verdict = "pass" if threshold is None or compare(value, threshold) else "fail"
    row = {"criterion": text, "threshold": threshold, "measured": value}
    return row | {"what": what, "verdict": verdict}


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
        return {one.quantity: (None, reason) for level in LEVELS.values() for one in level}
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
