"""Faulty inputs of RND experiments, and the one line that each gives."""

from pathlib import Path

import pytest
from faulty_projects import (
    INGEST,
    ROW,
    assert_one_line,
    change_array,
    change_file,
    configure,
    ingestion,
    problems,
    put_nan,
    truncate,
)

RND = ("--pipelines=rnd",)


def rnd(**changes):
    return lambda project: configure(project, "rnd", **changes)


# The fault, the arguments of `kedro run`, and the message.
CASES = {
    "experiment is unknown": (
        rnd(only=["nobody"]),
        RND,
        r"rnd: only: no experiment is called nobody; there are baseline, deep",
    ),
    "experiment's encoder is missing": (
        rnd(experiments={"mine": {"encoder_name": "gte"}}, only=["mine"]),
        RND,
        r"rnd experiment mine: encoder_name gte is not in embedding_cache\.encoders \(hashing\)",
    ),
    "last widths differ": (
        rnd(experiments={"mine": {"target_layers": [16, 8]}}),
        RND,
        r"experiments\.mine: target_layers and predictor_layers .* end with the same width",
    ),
    "baseline is mistyped": (
        rnd(baseline={"num_epoch": 3}),
        RND,
        r"^rnd: baseline: num_epoch: no such parameter$",
    ),
    "fewer samples than a batch": (
        rnd(experiments={"mine": {"num_train_samples": 4}}),
        RND,
        r"experiments\.mine: num_train_samples is 4, less than a batch of 8: lower batch_size",
    ),
    "pair's vector is not finite": (
        change_array(put_nan, "novelty_pairs"),
        RND,
        r"novelty_pairs/embeddings\.npy: row 3 is not finite",
    ),
    "no experiment is to be run": (rnd(only=[]), RND, r"rnd\.only: .* at least 1 item"),
    "other experiments were run": (
        change_file("07_model_output/rnd/precomp_baseline_hashing.json", Path.unlink),
        (*RND, "--from-nodes=compare_rnd_experiments"),
        r"experiment baseline_hashing is not in \S+; run `kedro run --pipelines=rnd` again",
    ),
    "experiment's result is damaged": (
        change_file("07_model_output/rnd/precomp_baseline_hashing.json", truncate),
        RND,
        r"precomp_baseline_hashing\.json: damaged .*; delete it and run rnd again",
    ),
    "nothing to hold out": (
        problems("p.jsonl", ROW),
        (*INGEST, "--nodes=ingest_problem_solutions,make_novelty_pairs"),
        r"problem_solutions: \d+ pairs to train on, \d+ to hold out, 0 to shuffle",
    ),
    "source out of distribution is unknown": (
        ingestion(novelty_pairs={"out_of_distribution": ["nowhere"]}),
        (*INGEST, "--nodes=make_novelty_pairs"),
        r"novelty_pairs\.out_of_distribution: no pair is of source nowhere; there are library_docs",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_faults_of_novelty_give_one_line(case, project):
    assert_one_line(project, *case)
