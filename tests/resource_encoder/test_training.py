"""Pre-training of the resource encoder: what it learns, when it ends, and that it is repeatable."""

from dataclasses import dataclass, replace

import pytest
import torch
from support import untimed
from synthetic_language_models import PROMPT, loaded
from synthetic_resources import job_in, resource_data

from embedlab.errors import InputError
from embedlab.resource_encoder.prompt import VectorPrompt
from embedlab.resource_encoder.training import (
    INSTRUCTIONS,
    MEASURE,
    ResourceLoopParameters,
    load_resource_encoder,
)
from embedlab.training import loop
from embedlab.training.step_log import StepLog

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return resource_data(tmp_path_factory.mktemp("data") / "llm")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A job, the encoder that it has trained, and its history."""
    job = job_in(tmp_path_factory.mktemp("trained"), data, {"training": {"max_epochs": 8}})
    return job, *job.train()


def is_same(content, other):
    """Whether two encoders have the same bits."""
    weights, others = content["encoder"], other["encoder"]
    return weights.keys() == others.keys() and all(
        torch.equal(weight, others[name]) for name, weight in weights.items()
    )


def mean_loss(job, content, configs):
    """The loss of an encoder on these configurations, all at once."""
    parameters = {"parameters": job.parameters.model_dump()}
    encoder = load_resource_encoder(content | parameters)
    prompt = VectorPrompt(loaded(job.data.language_model.model), PROMPT, INSTRUCTIONS)
    targets = [prompt.target(text) for text in configs.texts]
    with torch.no_grad():
        vectors = encoder(configs.tools, configs.values)
        return prompt.losses(vectors, configs.wordings, targets).mean().item()


def test_a_tiny_table_is_learnt(trained):
    job, content, history = trained
    first = history.rows[0]
    assert history.best[MEASURE] < first[MEASURE] - 0.2
    assert history.last["loss"] < first["loss"] - 0.2
    assert content["num_heads"] == 4
    steps = [row for row in job.log.rows() if "loss" in row]
    assert [row["step"] for row in steps] == list(range(1, 25))


def test_the_best_encoder_is_validated_on_the_configurations_as_they_are(trained):
    job, content, history = trained
    best = history.best[MEASURE]
    assert mean_loss(job, content, job.data.configs) == pytest.approx(best, abs=1e-5)
    assert mean_loss(job, content, job.data.samples) != pytest.approx(best, abs=1e-2)


def test_the_target_loss_ends_training(trained, tmp_path):
    job, _, history = trained
    target = history.rows[3][MEASURE] + 1e-6
    n_rows = next(i for i, row in enumerate(history.rows, start=1) if row[MEASURE] <= target)
    changes = {"training": {"max_epochs": 8, "target_loss": target}}
    _, shorter = job_in(tmp_path, job.data, changes).train()
    assert len(shorter.rows) < len(history.rows)
    assert untimed(shorter.rows) == untimed(history.rows[:n_rows])


def test_the_seed_decides(data, tmp_path):
    contents = [
        job_in(tmp_path / str(run), data, {"seed": seed}).train()[0]
        for run, seed in enumerate((1, 1, 2))
    ]
    assert is_same(contents[0], contents[1])
    assert not is_same(contents[0], contents[2])


class StoppedError(Exception):
    """Stands for whatever ends a process."""


@dataclass(frozen=True)
class StoppingLog(StepLog):
    """A log that ends the process with the losses of step 5, the second of the second epoch."""

    def write(self, row):
        super().write(row)
        if row["step"] == 5 and "loss" in row:
            raise StoppedError


def test_training_stopped_within_an_epoch_ends_as_if_it_had_not_been(data, tmp_path):
    changes = {"training": {"checkpoint_interval": 1}}
    undisturbed = job_in(tmp_path / "undisturbed", data, changes)
    content, history = undisturbed.train()
    job = job_in(tmp_path / "stopped", data, changes)
    with pytest.raises(StoppedError):
        replace(job, log=StoppingLog(job.log.path)).train()
    assert job.checkpoint.load()["step"] == 4
    resumed, further = job.train()
    assert is_same(resumed, content)
    assert untimed(further.rows) == untimed(history.rows)
    assert job.log.rows() == undisturbed.log.rows()


def test_the_gate_opens_from_zero_and_is_logged(data, trained, tmp_path):
    changes = {"encoder": {"fusion": "gated_cross_attention"}, "training": {"max_epochs": 2}}
    job = job_in(tmp_path, data, changes)
    content, _ = job.train()
    gates = [row["gate"] for row in job.log.rows() if "loss" in row]
    assert len(gates) == 6
    assert gates[0] == 0
    assert abs(gates[-1]) > 1e-3
    assert content["encoder"]["fusion.opening"] != 0
    assert not any("gate" in row for row in trained[0].log.rows())


@pytest.mark.parametrize(
    ("n_samples", "min_steps", "expected"), [(30, 0, 4), (30, 90, 45), (30, 4, 4), (64, 9, 5)]
)
def test_few_samples_make_more_epochs(n_samples, min_steps, expected):
    training = ResourceLoopParameters(
        max_epochs=4, batch_size=8, accumulation_steps=3 if n_samples == 30 else 4
    )
    assert training.for_samples(n_samples).max_epochs == 4
    fewest = training.model_copy(update={"min_steps": min_steps})
    assert fewest.for_samples(n_samples).max_epochs == expected


def test_so_training_takes_the_steps_that_it_needs(data, tmp_path):
    batches = -(-len(data.samples) // 8)
    job = job_in(tmp_path, data, {"training": {"max_epochs": 1, "min_steps": batches + 1}})
    _, history = job.train()
    assert job.parameters.training.batch_size == 8
    assert history.last["step"] == 2 * batches


def test_a_finished_training_only_gives_its_result(trained):
    job, content, history = trained
    before = job.checkpoint.path.stat().st_mtime_ns
    again, further = job.train()
    assert is_same(again, content)
    assert further == history
    assert job.checkpoint.path.stat().st_mtime_ns == before


def test_more_devices_than_a_batch_has_samples_are_one_line(data, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "world_size", lambda: 9)
    with pytest.raises(
        InputError, match=r"^encoder: 9 processes for 24 items in batches of 8; use fewer devices$"
    ):
        job_in(tmp_path, data).train()


def test_half_precision_learns_about_as_well(trained, tmp_path):
    job, _, history = trained
    changes = {"training": {"max_epochs": 8, "precision": "bfloat16"}}
    content, rough = job_in(tmp_path, job.data, changes).train()
    assert {tensor.dtype for tensor in content["encoder"].values()} == {torch.float32}
    for row, exact in zip(rough.rows, history.rows, strict=True):
        assert row[MEASURE] == pytest.approx(exact[MEASURE], rel=0.1)
        assert row[MEASURE] != exact[MEASURE]
    assert rough.last[MEASURE] < rough.rows[0][MEASURE] - 0.1


def test_layers_computed_anew_give_the_same_training(data, tmp_path):
    histories = [
        job_in(tmp_path / str(anew), data, {"training": {"gradient_checkpointing": anew}}).train()[
            1
        ]
        for anew in (False, True)
    ]
    losses = [[row[MEASURE] for row in history.rows] for history in histories]
    # Sums in another order differ by rounding, which training enlarges.
    assert losses[0] == pytest.approx(losses[1], abs=2e-3)
    assert losses[0][-1] < losses[0][0] - 0.1
