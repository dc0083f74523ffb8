"""Faulty parameters, names and YAML files, and the one line that each gives."""

import pytest
from faulty_projects import EMBED, EVALUATE, assert_one_line, configure

# The fault, the arguments of `kedro run`, and the message.
CASES = {
    "parameter is mistyped": (
        lambda project: configure(project, "evaluation", topk=5),
        EVALUATE,
        r"evaluation\.topk: no such parameter",
    ),
    "value is out of range": (
        lambda project: configure(project, "evaluation", top_k=0),
        EVALUATE,
        r"evaluation\.top_k: .* greater than or equal to 1 \(got 0\)",
    ),
    "group of parameters is unknown": (
        lambda project: configure(project, "evalution", top_k=5),
        EVALUATE,
        r"evalution: no such parameter",
    ),
    "encoder is not defined": (
        lambda project: configure(project, "embedding_cache", encoders=["nothing"]),
        EMBED,
        r"encoder nothing is not defined; there are minilm, ",
    ),
    "similarity is of no encoder": (
        lambda project: configure(project, "evaluation", similarity={"nobody": "dot"}),
        EVALUATE,
        r"evaluation\.similarity names nobody, which is no encoder",
    ),
    "model to evaluate is unknown": (
        lambda project: configure(project, "evaluation", models=["bm25", "gte"]),
        EVALUATE,
        r"evaluation names the model gte; there are bm25, hashing, isotropic",
    ),
    "pipeline is unknown": (lambda project: None, ("--pipelines=density2",), r"density2"),
    "YAML is broken": (
        lambda project: (project / "conf/test/parameters_evaluation.yml").write_text("a: [1"),
        EVALUATE,
        r"parameters_evaluation\.yml",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_faults_of_parameters_give_one_line(case, project):
    assert_one_line(project, *case)
