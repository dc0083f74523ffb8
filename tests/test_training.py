"""The training loop: early stopping, checkpoints, exact resume; splits by group."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embedlab.errors import InputError
from embedlab.training.checkpoints import Checkpoint, CheckpointFolder, run_fingerprint
from embedlab.training.loop import TrainingParameters, best_epoch, train
from embedlab.training.splits import SPLITS, split_by_group

N_ITEMS = 100


class StoppedError(Exception):
    """Stands for whatever ends a process."""


def regression(seed=0):
    """A model with dropout, its loss, and its loss on the same data."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(N_ITEMS, 4, generator=generator)
    targets = inputs.sum(dim=1)
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 16), torch.nn.GELU(), torch.nn.Dropout(0.5), torch.nn.Linear(16, 1)
    )

    def loss(rows):
        return (model(inputs[rows]).squeeze(1) - targets[rows]).square().mean()

    return model, loss, lambda: loss(torch.arange(N_ITEMS)).item()


def run(path, max_epochs=12, validation=None, stop_at=None, **options):
    model, loss, own_validation = regression()
    epochs = itertools.count()

    def stopping():
        if next(epochs) == stop_at:
            raise StoppedError
        return (validation or own_validation)()

    parameters = TrainingParameters(
        max_epochs=max_epochs, batch_size=16, learning_rate=0.01, **options
    )
    checkpoint = Checkpoint(path, "this run")
    history = train(model, loss, stopping, N_ITEMS, parameters, 7, checkpoint, "test")
    return model.state_dict(), history


def losses(history):
    return [(epoch["loss"], epoch["validation_loss"]) for epoch in history]


def test_training_learns(tmp_path):
    _, history = run(tmp_path / "a.pt", max_epochs=30)
    assert history[-1]["validation_loss"] < 0.2 * history[0]["validation_loss"]


@pytest.mark.parametrize("epoch", [1, 5, 11])
def test_a_stopped_run_ends_as_an_undisturbed_one(tmp_path, epoch):
    weights, history = run(tmp_path / "undisturbed.pt")
    with pytest.raises(StoppedError):
        run(tmp_path / "stopped.pt", stop_at=epoch)
    resumed_weights, resumed = run(tmp_path / "stopped.pt", stop_at=12 - epoch)
    assert losses(resumed) == losses(history)
    assert all(torch.equal(weights[name], resumed_weights[name]) for name in weights)


def test_a_loss_that_is_not_finite_is_one_line_and_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match="test: the loss is not finite in epoch 1; lower learn"):
        run(tmp_path / "a.pt", validation=lambda: float("nan"))
    assert not (tmp_path / "a.pt").exists()


def test_a_finished_run_is_not_trained_again(tmp_path):
    weights, history = run(tmp_path / "a.pt")

    again_weights, again = run(tmp_path / "a.pt", stop_at=0)
    assert again == history
    assert all(torch.equal(weights[name], again_weights[name]) for name in weights)


def test_training_stops_early_with_the_best_weights(tmp_path):
    values = iter([3.0, 1.0, 2.0, 2.0, 2.0, 0.5])
    _, history = run(tmp_path / "a.pt", validation=lambda: next(values), patience=3)
    assert [epoch["validation_loss"] for epoch in history] == [3, 1, 2, 2, 2]
    assert best_epoch(history) == 1
    best, _ = run(tmp_path / "b.pt", max_epochs=2, validation=iter([3.0, 1.0]).__next__)
    stopped, _ = run(tmp_path / "a.pt", validation=None, patience=3)
    assert all(torch.equal(best[name], stopped[name]) for name in best)


def test_a_checkpoint_of_another_run_is_not_used(tmp_path):
    folder = CheckpointFolder(tmp_path)
    folder.checkpoint("a", "one").save({"x": 1})
    assert folder.checkpoint("a", "one").load() == {"x": 1}
    assert folder.checkpoint("a", "two").load() is None
    assert folder.checkpoint("b", "one").load() is None


def test_a_damaged_checkpoint_is_named(tmp_path):
    checkpoint = CheckpointFolder(tmp_path).checkpoint("a", "one")
    checkpoint.save({"x": torch.zeros(1000)})
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"a\.pt: damaged .*; delete it"):
        checkpoint.load()


def test_fingerprints_differ_by_settings_and_by_data():
    array = np.arange(6)
    prints = [
        run_fingerprint({"a": 1}, array),
        run_fingerprint({"a": 2}, array),
        run_fingerprint({"a": 1}, array + 1),
        run_fingerprint({"a": 1}, array.reshape(2, 3)),
        run_fingerprint({"a": 1}, array.astype(np.int32)),
    ]
    assert len(set(prints)) == len(prints)
    assert run_fingerprint({"a": 1, "b": 2}, array) == run_fingerprint({"b": 2, "a": 1}, array)


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
