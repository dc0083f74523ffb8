"""Faulty inputs of density weights and reward models, and the one line that each gives."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from faulty_projects import (
    assert_one_line,
    change_array,
    change_file,
    configure,
    edited_file,
    preference_file,
    put_nan,
    saved,
    truncate,
)

DENSITY = ("--pipelines=density",)
REWARD = (*DENSITY, "--nodes=make_reward_pairs")


def change_weights(change):
    return change_file("04_feature/density/density_weights.npy", saved(change))


def change_pairs(change):
    def rewrite(path):
        pairs = pd.read_json(path, lines=True, dtype=False)
        change(pairs).to_json(path, lines=True, orient="records")

    return change_file("03_primary/preference_pairs.jsonl", rewrite)


def density(**changes):
    return lambda project: configure(project, "density", **changes)


def empty_pairs(project):
    for name in ("preference_pairs", "prefixes"):
        (project / "data" / "03_primary" / f"{name}.jsonl").write_text("")
    configure(project, "lineage", on_stale="ignore")


# The fault, the arguments of `kedro run`, and the message.
CASES = {
    "no prefix to weigh": (
        empty_pairs,
        ("--pipelines=embedding_cache,density",),
        r"prefixes: there is none to weigh",
    ),
    "weights are fewer than ids": (
        change_weights(lambda weights: weights[:-1]),
        REWARD,
        r"density_ids and density_weights do not fit: 60 ids, and weights of shape \(59,\)",
    ),
    "weight is not finite": (
        change_weights(lambda weights: weights * np.array([1, np.nan] * 30, np.float32)),
        REWARD,
        r"density_weights\.npy: position 1 is nan, not a positive number",
    ),
    "weights are of other numbers": (
        change_weights(lambda weights: weights.astype(np.float64)),
        REWARD,
        r"density_weights\.npy: expected float32 \(n,\), found float64",
    ),
    "density ids are repeated": (
        change_file("04_feature/density/density_ids.json", lambda p: p.write_text('["a", "a"]')),
        REWARD,
        r"ids: 'a' at position 1 is repeated",
    ),
    "prefix vectors are fewer than ids": (
        change_array(lambda vectors: vectors[:-1], "prefixes"),
        DENSITY,
        r"prefixes\.embeddings: 59 rows for 60 ids; run",
    ),
    "responses are not embedded": (
        change_file(
            "04_feature/hashing/responses/ids.json",
            lambda path: path.write_text(json.dumps(json.loads(path.read_text())[:-1])),
        ),
        DENSITY,
        r"responses\.embeddings: 240 rows for 239 ids; run",
    ),
    "reward training diverges": (
        density(reward_model={"training": {"learning_rate": 1e30}}),
        DENSITY,
        r"reward model uniform-0: the loss is not finite in epoch 1; lower learning_rate",
    ),
    "checkpoint is a list": (
        change_file(
            "06_models/checkpoints/reward_model/uniform-1.pt", lambda path: torch.save([], path)
        ),
        DENSITY,
        r"uniform-1\.pt: holds no dictionary; delete it",
    ),
    "seed is too great": (density(seed=2**32), DENSITY, r"density\.seed: .* less than 4294967296"),
    "exponent is infinite": (density(exponent=float("inf")), DENSITY, r"exponent: .*finite"),
    "prefixes are not embedded": (
        change_file("04_feature/hashing/prefixes/embeddings.npy", Path.unlink),
        DENSITY,
        r"hashing\.prefixes\.vectors: \S+embeddings\.npy is not there; make it with "
        r"`kedro run --to-outputs=hashing\.prefixes\.vectors`",
    ),
    "density's encoder embeds nothing": (
        density(encoder="minilm"),
        DENSITY,
        r"density\.encoder is minilm, whose vectors are not made; name it in embedding_cache",
    ),
    "prefix has no weight": (
        change_file(
            "04_feature/density/density_ids.json",
            lambda path: path.write_text(json.dumps([f"other {i}" for i in range(60)])),
        ),
        REWARD,
        r"row 0: prefix_id \w{16} has no density weight; run",
    ),
    "prefix vector is not finite": (
        change_array(put_nan, "prefixes"),
        DENSITY,
        r"prefixes/embeddings\.npy: row 3 is not finite",
    ),
    "prefixes have changed since": (
        edited_file(
            "03_primary/prefixes.jsonl",
            lambda path: path.write_text(path.read_text().replace("What does", "Which is")),
        ),
        DENSITY,
        r"prefixes\.vectors is stale \(prefixes is not what node collect_prefixes wrote\); run",
    ),
    "response is empty": (
        change_pairs(lambda pairs: pairs.assign(rejected=[" ", *pairs["rejected"][1:]])),
        REWARD,
        r"preference_pairs: row 0: rejected is empty or no text",
    ),
    "all pairs are of one prefix": (
        preference_file(*(f'{{"prompt": "a", "chosen": "b {i}", "rejected": "c"}}' for i in "123")),
        ("--pipelines=data_ingestion,embedding_cache,density",),
        r"prefix_id: 3 pairs with 1 distinct value\(s\); a split by prefix_id into train",
    ),
    "more samples than prefixes": (
        density(sample={"num_samples": 61, "replacement": False}),
        DENSITY,
        r"num_samples is 61, but only 60 items",
    ),
    "split is not of a whole": (
        density(reward_model={"split": [0.5, 0.1, 0.1]}),
        DENSITY,
        r"density\.reward_model: split must be three positive shares with sum 1",
    ),
    "density has an unknown encoder": (
        density(encoder="nobody"),
        DENSITY,
        r"encoder nobody is not defined",
    ),
    "checkpoint is truncated": (
        change_file("06_models/checkpoints/reward_model/uniform-1.pt", truncate),
        DENSITY,
        r"uniform-1\.pt: damaged .*; delete it",
    ),
    "reward pairs lack a column": (
        change_file(
            "05_model_input/reward_pairs.parquet",
            lambda path: pd.read_parquet(path).drop(columns="weight").to_parquet(path),
        ),
        (*DENSITY, "--from-nodes=fit_reward_models"),
        r"column\(s\) weight missing; run density again",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_faults_of_density_give_one_line(case, project):
    assert_one_line(project, *case)
