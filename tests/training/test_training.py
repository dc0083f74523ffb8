"""The training loop: its steps, early stopping, checkpoints, exact resume; splits by group."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import untimed
from torch.optim.optimizer import register_optimizer_step_pre_hook

from embedlab.density.reward_model import SPLITS, split_by_group
from embedlab.errors import InputError
from embedlab.training import loop
from embedlab.training.checkpoints import Checkpoint, CheckpointFolder
from embedlab.training.loop import train
from embedlab.training.parameters import LoopParameters, learning_rate_factor
from embedlab.training.step_log import StepLog
from embedlab.training.task import Task

pytestmark = pytest.mark.usefixtures("one_thread")

# Of 7 steps in an epoch, with batches of 16.
N_ITEMS = 100


class StoppedError(Exception):
    """Stands for whatever ends a process."""


def stopping(function, calls):
    """A function that works so many times, and then stands for the end of the process."""
    left = itertools.count(calls, -1)

    def limited(*arguments):
        if next(left) == 0:
            raise StoppedError
        return function(*arguments)

    return limited


def regression(dropout=0.5):
    """A model, its losses, and its loss on the same data."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(N_ITEMS, 4, generator=generator)
    targets = inputs.sum(dim=1)
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 16), torch.nn.GELU(), torch.nn.Dropout(dropout), torch.nn.Linear(16, 1)
    )

    def losses(called, rows, seed):
        return {"loss": (called(inputs[rows]).squeeze(1) - targets[rows]).square().mean()}

    return model, losses, lambda: losses(model, torch.arange(N_ITEMS), 0)["loss"].item()


def run(
    folder,
    name="a",
    validation=None,
    stop_at_validation=math.inf,
    stop_at_batch=math.inf,
    dropout=0.5,
    task=None,
    **options,
):
    """Train; gives the weights, the history and the rows of the log."""
    model, losses, own_validation = regression(dropout)
    settings = {"max_epochs": 12, "batch_size": 16, **options}
    described = {
        "name": "test",
        "model": model,
        "losses": stopping(losses, stop_at_batch),
        "num_items": N_ITEMS,
        "validate": stopping(validation or own_validation, stop_at_validation),
    }
    groups = [{"params": list(model.parameters()), "lr": 0.01}]
    log = StepLog(folder / f"{name}.jsonl")
    checkpoint = Checkpoint(folder / f"{name}.pt", "this run")
    parameters = LoopParameters.model_validate(settings)
    history = train(Task(**described | (task or {})), groups, parameters, 7, checkpoint, log)
    return model.state_dict(), history.rows, log.rows()


def is_same(run, other):
    """Whether two runs gave, to the last bit, the same weights, history and log."""
    return (
        all(torch.equal(run[0][name], other[0][name]) for name in run[0])
        and untimed(run[1]) == untimed(other[1])
        and run[2] == other[2]
    )


def scores(history, measure="validation_loss"):
    return [row[measure] for row in history]


def test_training_learns(tmp_path):
    _, history, _ = run(tmp_path, patience=12)
    assert history[-1]["validation_loss"] < 0.2 * history[0]["validation_loss"]
    assert [row["step"] for row in history] == [7 * epoch for epoch in range(1, 13)]


@pytest.mark.parametrize("stop", [{"stop_at_validation": n} for n in (1, 5, 11)])
def test_a_stopped_run_ends_as_an_undisturbed_one(tmp_path, stop):
    undisturbed = run(tmp_path, "undisturbed")
    with pytest.raises(StoppedError):
        run(tmp_path, "stopped", **stop)
    resumed = run(tmp_path, "stopped", stop_at_validation=12 - stop["stop_at_validation"])
    assert is_same(resumed, undisturbed)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("validation_interval", [None, 5])
def test_a_run_stopped_within_an_epoch_goes_on_from_its_last_checkpoint(
    tmp_path, schedule, validation_interval
):
    options = {
        "max_epochs": 3,
        "accumulation_steps": 2,  # 4 steps an epoch, the last one of a single batch
        "checkpoint_interval": 3,
        "validation_interval": validation_interval,
        "warmup_steps": 4,
        "schedule": schedule,
        "task": {"scores_start": True},
    }
    undisturbed = run(tmp_path, "undisturbed", **options)
    with pytest.raises(StoppedError):
        run(tmp_path, "stopped", stop_at_batch=18, **options)  # in step 11 of 12
    done = StepLog(tmp_path / "stopped.jsonl")
    assert done.rows()[-1]["step"] == 10
    with done.path.open("a") as file:
        file.write('{"step": 11, "lo')  # what a killed process leaves
    # Steps 10 to 12 have two batches, two and one.
    resumed = run(tmp_path, "stopped", stop_at_batch=5, **options)
    assert is_same(resumed, undisturbed)
    steps = [row["step"] for row in resumed[2] if "loss" in row]
    assert steps == list(range(1, 13))


def test_a_run_stopped_after_its_first_validation_keeps_it(tmp_path):
    options = {"max_epochs": 2, "task": {"scores_start": True}}
    undisturbed = run(tmp_path, "undisturbed", **options)
    with pytest.raises(StoppedError):
        run(tmp_path, "stopped", stop_at_batch=0, **options)
    assert is_same(run(tmp_path, "stopped", **options), undisturbed)


def test_a_loss_that_is_not_finite_is_one_line_and_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match="test: the loss is not finite in epoch 1; lower learn"):
        run(tmp_path, validation=lambda: float("nan"))
    assert not (tmp_path / "a.pt").exists()


@pytest.mark.parametrize("max_epochs", [0, 2])
def test_a_finished_run_is_not_trained_again(tmp_path, max_epochs):
    options = {"max_epochs": max_epochs, "task": {"scores_start": True}}
    first = run(tmp_path, **options)
    again = run(tmp_path, stop_at_validation=0, stop_at_batch=0, **options)
    assert is_same(again, first)
    assert again[1] == first[1]


def test_training_stops_early_with_the_best_weights(tmp_path):
    values = iter([3.0, 1.0, 2.0, 2.0, 2.0, 0.5])
    stopped, history, _ = run(tmp_path, validation=lambda: next(values), patience=3)
    assert scores(history) == [3, 1, 2, 2, 2]
    best, _, _ = run(tmp_path, "b", max_epochs=2, validation=iter([3.0, 1.0]).__next__)
    assert all(torch.equal(best[name], stopped[name]) for name in best)


def test_where_higher_is_better_the_highest_is_kept(tmp_path):
    task = {"measure": "accuracy", "higher_is_better": True}
    values = iter([0.1, 0.9, 0.9, 0.2])
    kept, history, _ = run(tmp_path, validation=lambda: next(values), patience=2, task=task)
    assert scores(history, "accuracy") == [0.1, 0.9, 0.9, 0.2]
    best, _, _ = run(tmp_path, "b", max_epochs=2, validation=iter([0.1, 0.9]).__next__, task=task)
    assert all(torch.equal(best[name], kept[name]) for name in best)


TARGETS = {
    "a loss": ({"target": 0.5}, [3.0, 1.0, 2.0, 0.5, 0.1]),
    "an accuracy": (
        {"target": 0.9, "measure": "accuracy", "higher_is_better": True},
        [0.1, 0.8, 0.7, 0.95, 0.99],
    ),
    "a start": ({"target": 0.5, "scores_start": True}, [0.4, 0.1]),
}


@pytest.mark.parametrize("case", TARGETS)
def test_training_stops_at_the_first_validation_that_reaches_the_target(tmp_path, case):
    task, values = TARGETS[case]
    given = iter(values)
    first = run(tmp_path, validation=lambda: next(given), patience=5, task=task)
    assert scores(first[1], task.get("measure", "validation_loss")) == values[:-1]
    again = run(tmp_path, stop_at_validation=0, stop_at_batch=0, patience=5, task=task)
    assert is_same(again, first)


def test_a_target_out_of_reach_changes_nothing(tmp_path):
    free = run(tmp_path, "free")
    aimed = run(tmp_path, "aimed", task={"target": 0.0})
    assert is_same(aimed, free)


def test_a_start_that_nothing_betters_is_kept(tmp_path):
    start = {key: tensor.clone() for key, tensor in regression(0.5)[0].state_dict().items()}
    values = itertools.count(1.0)
    kept, history, log = run(
        tmp_path, validation=lambda: next(values), patience=2, task={"scores_start": True}
    )
    assert all(torch.equal(start[name], kept[name]) for name in start)
    assert [(row["step"], row["validation_loss"]) for row in history] == [(0, 1), (7, 2), (14, 3)]
    assert "loss" not in history[0]
    assert log[0] == {"step": 0, "epoch": 0, "validation_loss": 1}


def test_no_epoch_only_validates(tmp_path):
    start = {key: tensor.clone() for key, tensor in regression(0.5)[0].state_dict().items()}
    weights, history, _ = run(tmp_path, max_epochs=0, stop_at_batch=0, task={"scores_start": True})
    assert [row["step"] for row in history] == [0]
    assert all(torch.equal(start[name], weights[name]) for name in start)


def test_validation_comes_at_its_interval_and_at_the_end(tmp_path):
    _, history, log = run(tmp_path, max_epochs=2, validation_interval=4, patience=9)
    assert [row["step"] for row in history] == [4, 8, 12, 14]
    assert [row["epoch"] for row in history] == pytest.approx([4 / 7, 8 / 7, 12 / 7, 2])
    # The training loss is the mean over the items since the last validation; 7 batches are 100.
    losses = [row["loss"] for row in log if "loss" in row]
    assert history[0]["loss"] == pytest.approx(np.mean(losses[:4]))
    sizes = np.array([16, 16, 4, 16])
    assert history[1]["loss"] == pytest.approx(losses[4:8] @ sizes / sizes.sum())


@pytest.mark.parametrize("batch_size", [33, 99, 50, 1000])
def test_processes_have_equal_batches_and_no_step_less_than_one_alone(
    tmp_path, monkeypatch, batch_size
):
    """With batches of 33 or 99, one item is left over, which two processes cannot share."""
    alone = run(tmp_path, "alone", max_epochs=1, batch_size=batch_size)
    monkeypatch.setattr(loop, "world_size", lambda: 2)
    monkeypatch.setattr(loop, "_wrap", lambda model, _: model)
    monkeypatch.setattr(torch.distributed, "barrier", lambda: None)
    sizes = []

    def losses(model, rows, seed):
        sizes[-1].append(len(rows))
        return {"loss": model(torch.ones(len(rows), 4)).mean()}

    for number in (0, 1):
        monkeypatch.setattr(loop, "rank", lambda number=number: number)
        sizes.append([])
        task = {"losses": losses}
        run(tmp_path, str(number), max_epochs=1, batch_size=batch_size, task=task)
    assert sizes[0] == sizes[1]
    assert len(sizes[0]) == alone[1][-1]["step"]
    assert min(sizes[0]) >= 1


def test_fewer_items_than_processes_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "world_size", lambda: 8)
    with pytest.raises(InputError, match=r"^test: 8 processes for 100 items in batches of 7; use "):
        run(tmp_path, batch_size=7)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.25, 0.5, 0.75, 1, 1, 1, 1]),
        ("linear", [0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25]),
        ("cosine", [0.25, 0.5, 0.75, 1, *((1 + math.cos(math.pi * k / 4)) / 2 for k in (1, 2, 3))]),
    ],
)
def test_the_learning_rate_warms_up_and_falls(tmp_path, schedule, expected):
    factor = learning_rate_factor(schedule, 3, 7)
    assert [factor(step) for step in range(7)] == pytest.approx(expected)
    assert factor(7) == pytest.approx(1 if schedule == "constant" else 0)
    _, _, log = run(tmp_path, max_epochs=1, schedule=schedule, warmup_steps=3)
    rates = [row["learning_rate_0"] for row in log if "loss" in row]
    assert rates == pytest.approx([0.01 * value for value in expected])


def test_accumulated_batches_are_one_large_batch(tmp_path):
    options = {"dropout": 0, "max_gradient_norm": 100}  # the norm is logged
    small = run(tmp_path, "s", batch_size=10, accumulation_steps=5, **options)
    large = run(tmp_path, "l", batch_size=50, **options)
    assert [row["step"] for row in small[1]] == [row["step"] for row in large[1]]
    for one, other in zip(small[2], large[2], strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    for name, weight in small[0].items():
        torch.testing.assert_close(weight, large[0][name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_long_gradients_are_clipped_and_their_norm_is_logged(tmp_path, precision):
    norms, options = [], {"max_epochs": 2, "precision": precision}

    def measure(optimizer, *_):
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norms.append(torch.nn.utils.get_total_norm(gradients).item())

    hook = register_optimizer_step_pre_hook(measure)
    try:
        _, _, log = run(tmp_path, max_gradient_norm=0.5, **options)
        # In float16 the first steps find the loss's scale; those that overflow are not taken.
        logged = [row["gradient_norm"] for row in log if "loss" in row]
        logged = [norm for norm in logged if math.isfinite(norm)]
        assert len(logged) > 5
        assert max(logged) > 1
        assert norms == pytest.approx([min(norm, 0.5) for norm in logged], rel=1e-4)
        norms.clear()
        run(tmp_path, "free", **options)
        assert max(norms) > 1
    finally:
        hook.remove()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_computes_in_it_and_keeps_full_weights(tmp_path, precision):
    full, _, _ = run(tmp_path, "full", max_epochs=6, dropout=0)
    half, history, _ = run(tmp_path, "half", max_epochs=6, dropout=0, precision=precision)
    assert {weight.dtype for weight in half.values()} == {torch.float32}
    assert not torch.equal(full["0.weight"], half["0.weight"])
    assert scores(history)[-1] < 0.1 * scores(history)[0]


def test_the_log_has_a_row_at_each_interval(tmp_path):
    every, _, all_rows = run(tmp_path, "every", max_epochs=2)
    some, _, rows = run(tmp_path, "some", max_epochs=2, log_interval=5)
    assert [row["step"] for row in all_rows if "loss" in row] == list(range(1, 15))
    assert [row["step"] for row in rows if "loss" in row] == [5, 10]
    assert [row for row in rows if "loss" not in row] == [r for r in all_rows if "loss" not in r]
    assert all(row in all_rows for row in rows)
    assert all(torch.equal(every[name], some[name]) for name in every)


def test_a_checkpoint_of_another_run_is_not_used(tmp_path):
    folder = CheckpointFolder(tmp_path)
    folder.checkpoint("a", "one").save({"x": 1})
    assert folder.checkpoint("a", "one").load() == {"x": 1}
    assert folder.checkpoint("a", "two").load() is None
    assert folder.checkpoint("b", "one").load() is None
    assert CheckpointFolder(tmp_path, "other data").checkpoint("a", "one").load() is None


def test_a_damaged_checkpoint_is_named(tmp_path):
    checkpoint = CheckpointFolder(tmp_path).checkpoint("a", "one")
    checkpoint.save({"x": torch.zeros(1000)})
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"a\.pt: damaged .*; delete it"):
        checkpoint.load()


@given(
    groups=st.lists(st.integers(0, 12), min_size=3, max_size=60).filter(lambda g: len(set(g)) > 2),
    shares=st.sampled_from([(0.7, 0.1, 0.2), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8), (0.98, 0.01, 0.01)]),
    seed=st.integers(0, 5),
)
def test_splits_keep_groups_whole_and_none_is_empty(groups, shares, seed):
    series = pd.Series(groups, name="prefix_id")
    split = split_by_group(series, shares, seed)
    assert set(split) == set(SPLITS)
    assert pd.Series(split).groupby(series).nunique().max() == 1


def test_splits_have_their_shares_and_differ_by_seed():
    groups = pd.Series(np.repeat(np.arange(100), 3), name="prefix_id")
    split = split_by_group(groups, (0.7, 0.1, 0.2), 0)
    assert [np.sum(split == name) for name in SPLITS] == [210, 30, 60]
    assert not np.array_equal(split, split_by_group(groups, (0.7, 0.1, 0.2), 1))


def test_one_prefix_cannot_be_split():
    with pytest.raises(InputError, match=r"prefix_id: 5 pairs with 1 distinct value\(s\); a split"):
        split_by_group(pd.Series(["a"] * 5, name="prefix_id"), (0.7, 0.1, 0.2), 0)
