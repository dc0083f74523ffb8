"""What a paper on isotropic retrieval should show, at three levels, held against measurements."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from embedlab.retrieval.comparison import average, base_set
from embedlab.sources.beir_sets import FULL, NOT_DOWNLOADABLE

METRIC = "nDCG@10"
# The sets of BEIR that everyone can have: the usual average is over them.
PUBLIC_SETS = tuple(name for name in FULL if name not in NOT_DOWNLOADABLE)
NO_MODEL = "no isotropic model is among the models; run isotropic_retrieval first"


class Measured(NamedTuple):
    """A number, None if it is not there.

    Attributes:
        value: what was measured.
        what: what exactly was measured, or why it was not.
    """

    value: float | None
    what: str


class Criterion(NamedTuple):
    """A line of a level.

    Attributes:
        text: the criterion.
        quantity: the measurement that it is about.
        threshold: to be exceeded; None where it is enough that there is a measurement.
        at_least: the threshold itself will do.
    """

    text: str
    quantity: str
    threshold: float | None = None
    at_least: bool = False


LEVELS = {
    "minimum viable paper": (
        Criterion("BEIR average nDCG@10 > 45 %", "beir_average", 45),
        Criterion("improvement over the baseline > +1 %", "improvement", 1),
        Criterion("isotropy score > 0.90", "isotropy", 0.90),
        Criterion("training time documented", "training_seconds"),
        Criterion("3 or more baselines compared", "baselines", 3, at_least=True),
    ),
    "strong paper": (
        Criterion("BEIR average nDCG@10 > 48 %", "beir_average", 48),
        Criterion("improvement over the baseline > +2 %", "improvement", 2),
        Criterion("isotropy score > 0.93", "isotropy", 0.93),
        Criterion("ablation studies included", "ablations", 1, at_least=True),
        Criterion("5 or more baselines compared", "baselines", 5, at_least=True),
        Criterion("analysis of when and why the method works", "analysis"),
    ),
    "top-tier paper": (
        Criterion("BEIR average nDCG@10 > 50 %", "beir_average", 50),
        Criterion("new state of the art on 3 or more sets", "state_of_the_art", 3, at_least=True),
        Criterion("theoretical analysis of isotropy", "theory"),
        Criterion("extensive ablations", "extensive_ablations"),
        Criterion("released code and checkpoints", "release"),
    ),
}


def success_criteria(
    comparison: Mapping[str, Any],
    isotropy: Mapping[str, Mapping[str, Any]],
    model: str,
    training_seconds: float | None = None,
    n_ablations: int | None = None,
) -> dict[str, Any]:
    """Each line of each level with its verdict.

    Args:
        comparison: as `compare_models` gives it.
        isotropy: the numbers of `isotropy`, by set, then by model.
        model: whose success is judged; it need not have been compared.
        training_seconds: how long it was trained, if known.
        n_ablations: models of an ablation study, if there was one.

    Returns:
        By level: `verdict`, and `criteria`, each with criterion, threshold, measured, what (what
        exactly was measured, or why it was not) and verdict. A verdict is `pass`, `fail` or
        `not measured`; a level fails with any line, and passes with all.
    """
    measured = {
        "beir_average": _beir_average(comparison, model),
        "improvement": _improvement(comparison, model),
        "isotropy": _isotropy(isotropy, model, comparison["baseline"]),
        "training_seconds": _training_seconds(training_seconds),
        "baselines": _baselines(comparison, model),
        "ablations": _ablations(n_ablations),
        "analysis": Measured(None, "for people to write; evaluation_examples is material for it"),
        "state_of_the_art": _state_of_the_art(comparison, model),
        "theory": Measured(None, "for people to write"),
        "extensive_ablations": Measured(
            None,
            f"no number says what is extensive; ablated models in this run: {n_ablations or 0}",
        ),
        "release": Measured(None, "a run does not publish"),
    }
    return {level: _judge(criteria, measured) for level, criteria in LEVELS.items()}


def _judge(criteria: Sequence[Criterion], measured: Mapping[str, Measured]) -> dict[str, Any]:
    """The lines of one level, and the level itself."""
    lines = [
        {
            "criterion": line.text,
            "threshold": line.threshold,
            "measured": measured[line.quantity].value,
            "what": measured[line.quantity].what,
            "verdict": _verdict(measured[line.quantity].value, line),
        }
        for line in criteria
    ]
    verdicts = [line["verdict"] for line in lines]
    worst = next((one for one in ("fail", "not measured") if one in verdicts), "pass")
    return {"verdict": worst, "criteria": lines}


def _verdict(value: float | None, line: Criterion) -> str:
    if value is None:
        return "not measured"
    if line.threshold is None or value > line.threshold:
        return "pass"
    return "pass" if line.at_least and value == line.threshold else "fail"


def _beir_average(comparison: Mapping[str, Any], model: str) -> Measured:
    means = _means(comparison, model)
    if not means:
        return _absent(comparison, model)
    missing = set(PUBLIC_SETS) - set(map(base_set, means))
    if missing:
        return Measured(
            None,
            f"{len(missing)} of BEIR's {len(PUBLIC_SETS)} public sets were not evaluated; the "
            f"average {METRIC} of {model} over {_listed(means)} is {100 * average(means):.2f} %",
        )
    public = {name: mean for name, mean in means.items() if base_set(name) in PUBLIC_SETS}
    what = f"average {METRIC} of {model} over BEIR's {len(PUBLIC_SETS)} public sets, in percent"
    return Measured(100 * average(public), what)


def _improvement(comparison: Mapping[str, Any], model: str) -> Measured:
    means = _means(comparison, model)
    baseline = comparison["baseline"]
    if not means:
        return _absent(comparison, model)
    if model == baseline:
        return Measured(None, f"{model} is the baseline itself; choose another evaluation.baseline")
    cell = comparison["average"][model][METRIC]
    return Measured(
        100 * cell["difference"],
        f"{METRIC} of {model} less that of {baseline}, in points, on the average over "
        f"{_listed(means)}; 95 % interval {100 * cell['low']:.2f} to {100 * cell['high']:.2f}, "
        f"paired randomisation test p = {cell['p_value']:.4f}",
    )


def _isotropy(isotropy: Mapping[str, Mapping[str, Any]], model: str, baseline: str) -> Measured:
    """Of IsoScore: the one measure that calls itself so, and runs from 0 to 1."""
    scores = {
        name: {own: numbers["isoscore"] for own, numbers in models.items()}
        for name, models in isotropy.items()
        if model in models
    }
    if not scores:
        return Measured(None, NO_MODEL)
    means = {
        own: sum(by_model[own] for by_model in scores.values()) / len(scores)
        for own in (model, baseline)
        if all(own in by_model for by_model in scores.values())
    }
    listed = ", ".join(f"{own} {mean:.3f}" for own, mean in means.items())
    return Measured(
        means[model],
        "IsoScore (Rudman et al. 2022) of the documents' vectors, mean over "
        f"{_listed(scores)} ({listed}); other measures are in isotropy_metrics",
    )


def _training_seconds(seconds: float | None) -> Measured:
    if seconds is None:
        return Measured(None, NO_MODEL)
    return Measured(seconds, "seconds of the last training, as isotropic_summary has them")


def _baselines(comparison: Mapping[str, Any], model: str) -> Measured:
    if model not in comparison["average"]:
        return Measured(None, NO_MODEL)
    others = [name for name in comparison["average"] if name != model]
    return Measured(len(others), f"models compared with: {', '.join(others)}")


def _ablations(n_ablations: int | None) -> Measured:
    if n_ablations is None:
        return Measured(None, "this run has no ablations")
    return Measured(n_ablations, "models in the ablation study")


def _state_of_the_art(comparison: Mapping[str, Any], model: str) -> Measured:
    """Only published results could tell; the models compared are a lower bar."""
    best = [
        name
        for name, mean in _means(comparison, model).items()
        if mean == max(own[METRIC]["mean"] for own in comparison["sets"][name].values())
    ]
    n_sets = len(comparison["sets"])
    return Measured(
        None,
        "published results are not read; the best of the models compared on "
        f"{len(best)} of {n_sets} sets",
    )


def _means(comparison: Mapping[str, Any], model: str) -> dict[str, float]:
    """The model's mean on each set; none if model or metric are not there."""
    if model not in comparison["average"] or METRIC not in comparison["metrics"]:
        return {}
    return {name: models[model][METRIC]["mean"] for name, models in comparison["sets"].items()}


def _absent(comparison: Mapping[str, Any], model: str) -> Measured:
    if model not in comparison["average"]:
        return Measured(None, NO_MODEL)
    return Measured(None, f"{METRIC} is not in evaluation.reported")


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(names)
