import json
from typing import Any

import pytest

from embedlab.retrieval.success_criteria import PUBLIC_SETS, success_criteria

METRIC = "nDCG@10"
ENDS = {"low": 0.01, "high": 0.05, "p_value": 0.0123}


def comparison(mean: float, difference: float, sets: tuple[str, ...], n_others: int = 3) -> Any:
    cells = {"isotropic": {METRIC: {"mean": mean, "difference": difference, **ENDS}}}
    others = {f"other{i}": {METRIC: {"mean": mean - difference}} for i in range(n_others)}
    models = cells | others
    return {
        "baseline": "other0",
        "metrics": [METRIC],
        "sets": dict.fromkeys(sets, models),
        "average": models,
    }


def isotropy(score: float) -> dict[str, Any]:
    return {"scifact": {"isotropic": {"isoscore": score}, "other0": {"isoscore": 0.2}}}


def lines(levels: dict[str, Any], level: str) -> dict[str, dict[str, Any]]:
    return {line["criterion"]: line for line in levels[level]["criteria"]}


def verdicts(levels: dict[str, Any], level: str) -> list[str]:
    return [line["verdict"] for line in levels[level]["criteria"]]


def test_a_paper_that_measures_all_passes_the_level_it_reaches() -> None:
    levels = success_criteria(
        comparison(0.46, 0.015, PUBLIC_SETS), isotropy(0.91), "isotropic", 60.0, 6
    )
    assert levels["minimum viable paper"]["verdict"] == "pass"
    assert verdicts(levels, "strong paper") == ["fail", "fail", "fail", "pass", "fail"]
    assert levels["strong paper"]["verdict"] == "fail"
    assert verdicts(levels, "top-tier paper") == ["fail", "fail"]
    line = lines(levels, "minimum viable paper")
    assert line["BEIR average nDCG@10 > 45 %"]["measured"] == pytest.approx(46)
    improvement = line["improvement over the baseline > +1 %"]
    assert improvement["measured"] == pytest.approx(1.5)
    assert "p = 0.0123" in improvement["what"]
    assert "IsoScore" in line["isotropy score > 0.90"]["what"]
    assert "other0 0.200" in line["isotropy score > 0.90"]["what"]
    json.dumps(levels)


def test_every_level_can_be_passed_and_names_what_no_run_can_measure() -> None:
    compared = comparison(0.51, 0.03, PUBLIC_SETS, 5)
    levels = success_criteria(compared, isotropy(0.95), "isotropic", 60.0, 10)
    assert {level["verdict"] for level in levels.values()} == {"pass"}
    left_out = {name: level["not_judged"] for name, level in levels.items()}
    assert [len(rows) for rows in left_out.values()] == [0, 1, 3]
    reasons = {row["criterion"]: row["reason"] for row in left_out["top-tier paper"]}
    assert "published results" in reasons["new state of the art on 3 or more sets"]


def test_thresholds_are_exceeded_and_counts_reached() -> None:
    levels = success_criteria(comparison(0.45, 0.01, PUBLIC_SETS), isotropy(0.9), "isotropic", 0.0)
    assert verdicts(levels, "minimum viable paper") == ["fail", "fail", "fail", "pass", "pass"]
    few = success_criteria(comparison(0.45, 0.01, PUBLIC_SETS, 2), isotropy(0.9), "isotropic")
    assert verdicts(few, "minimum viable paper")[3:] == ["not measured", "fail"]


def test_the_average_of_other_sets_is_a_note_and_not_a_verdict() -> None:
    levels = success_criteria(comparison(0.7, 0.02, ("scifact", "own")), isotropy(0.1), "isotropic")
    line = lines(levels, "minimum viable paper")["BEIR average nDCG@10 > 45 %"]
    assert (line["verdict"], line["measured"]) == ("not measured", None)
    assert "13 of BEIR's 14 public sets" in line["what"]
    assert "over scifact, own is 70.00 %" in line["what"]


def test_sets_beside_beir_do_not_count_in_its_average_and_forums_as_one() -> None:
    others = tuple(name for name in PUBLIC_SETS if name != "cqadupstack")
    forums = ("cqadupstack-android", "cqadupstack-tex")
    compared = comparison(0.5, 0.02, (*others, *forums, "own"))
    for name, mean in {"own": 0.0, forums[0]: 0.3, forums[1]: 0.4}.items():
        compared["sets"][name] = {"isotropic": {METRIC: {"mean": mean}}}
    levels = success_criteria(compared, isotropy(0.1), "isotropic")
    line = lines(levels, "minimum viable paper")["BEIR average nDCG@10 > 45 %"]
    assert line["measured"] == pytest.approx((13 * 50 + 35) / 14)
    assert line["verdict"] == "pass"


def test_without_the_model_nothing_is_measured_and_the_reason_is_said() -> None:
    compared = comparison(0.5, 0.02, ("scifact",))
    for part in (compared["average"], *compared["sets"].values()):
        part.pop("isotropic", None)
    levels = success_criteria(compared, {}, "isotropic")
    assert {level["verdict"] for level in levels.values()} == {"not measured"}
    assert {one for level in levels for one in verdicts(levels, level)} == {"not measured"}
    line = lines(levels, "minimum viable paper")["improvement over the baseline > +1 %"]
    assert "run isotropic_retrieval" in line["what"]


def test_the_model_cannot_improve_on_itself_nor_without_the_metric() -> None:
    itself = comparison(0.5, 0.02, ("scifact",)) | {"baseline": "isotropic"}
    other_metric = comparison(0.5, 0.02, ("scifact",)) | {"metrics": ["MRR@10"]}
    reasons = {"is the baseline itself": itself, "not in evaluation.reported": other_metric}
    for reason, compared in reasons.items():
        levels = success_criteria(compared, isotropy(0.1), "isotropic")
        line = lines(levels, "minimum viable paper")["improvement over the baseline > +1 %"]
        assert line["verdict"] == "not measured"
        assert reason in line["what"]
