"""The log of a training's steps, and what it gives to Weights & Biases."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pytest
import torch

from embedlab.errors import InputError
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.loop import train
from embedlab.training.parameters import LoopParameters, TrainingRunParameters
from embedlab.training.step_log import StepLog, WandbParameters
from embedlab.training.task import Task

PROJECT = WandbParameters(project="tools", entity="me")


class StubWandb(ModuleType):
    """Stands for the package: remembers its runs and what they were given."""

    class Error(Exception):
        """As the package raises it."""

    def __init__(self):
        super().__init__("wandb")
        self.__spec__ = ModuleSpec("wandb", None)
        self.runs, self.fault = [], None

    def init(self, **options):
        if self.fault:
            raise self.Error(self.fault)
        rows = []
        run = SimpleNamespace(options=options, rows=rows, finished=0, dir="here")
        run.log = lambda values, step: rows.append((step, values))
        run.finish = lambda: setattr(run, "finished", run.finished + 1)
        self.runs.append(run)
        return run


@pytest.fixture
def wandb(monkeypatch):
    stub = StubWandb()
    monkeypatch.setitem(sys.modules, "wandb", stub)
    return stub


def train_line(log, stop_at=2):
    """Fit a line for some epochs of two steps each; gives the number of batches it took."""
    model, batches = torch.nn.Linear(1, 1), []
    inputs = torch.arange(4.0)[:, None]

    def losses(called, rows, seed):
        batches.append(rows)
        return {"loss": (called(inputs[rows]) - inputs[rows]).square().mean()}

    task = Task("line", model, losses, 4, lambda: 1 / len(batches))
    groups = [{"params": list(model.parameters()), "lr": 0.01}]
    parameters = LoopParameters(max_epochs=stop_at, batch_size=2)
    train(task, groups, parameters, 0, Checkpoint(log.path.with_suffix(".pt"), "this"), log)
    return len(batches)


def test_every_row_goes_to_one_run_with_its_step(tmp_path, wandb):
    log = StepLog(tmp_path / "retrieval.jsonl", wandb=PROJECT, config={"seed": 3})
    assert wandb.runs == []
    log.write({"step": 0, "epoch": 0, "score": 0.5})
    log.write({"step": 10, "epoch": 0.4, "loss": 2.0})
    (run,) = wandb.runs
    assert run.rows == [(0, {"epoch": 0, "score": 0.5}), (10, {"epoch": 0.4, "loss": 2.0})]
    expected = {"project": "tools", "entity": "me", "dir": str(tmp_path), "name": "retrieval"}
    assert expected.items() <= run.options.items()
    assert run.options["config"] == {"seed": 3}
    assert [row["step"] for row in log.rows()] == [0, 10]
    log.close()
    log.close()
    assert run.finished == 1


def test_a_training_is_one_run_which_ends_with_it(tmp_path, wandb):
    log = StepLog(tmp_path / "line.jsonl", wandb=PROJECT)
    assert train_line(log) == 4
    (run,) = wandb.runs
    assert [step for step, _ in run.rows] == [1, 2, 2, 3, 4, 4]
    assert [{"step": step} | values for step, values in run.rows] == log.rows()
    assert run.finished == 1
    assert train_line(log) == 0, "it was finished"
    assert len(wandb.runs) == 1


def test_a_run_that_cannot_begin_is_one_line_before_the_first_step(tmp_path, wandb):
    wandb.fault = "no API key configured.\nUse `wandb login`."
    log = StepLog(tmp_path / "line.jsonl", wandb=PROJECT)
    line = r"^wandb: no API key configured\. Use `wandb login`; or set WANDB_MODE=offline$"
    with pytest.raises(InputError, match=line):
        train_line(log)
    assert log.rows() == []
    wandb.fault = None
    assert train_line(log) == 4


@pytest.mark.parametrize(
    ("extra", "options"), [("wandb", {"wandb": PROJECT}), ("tensorboard", {"tensorboard": "board"})]
)
def test_an_extra_that_is_not_installed_is_one_line(tmp_path, monkeypatch, extra, options):
    monkeypatch.setitem(sys.modules, extra, None)
    line = rf'^{extra} is not installed; pip install -e "\.\[{extra}\]"$'
    with pytest.raises(InputError, match=line):
        StepLog(tmp_path / "a.jsonl", **options)
    StepLog(tmp_path / "a.jsonl").write({"step": 1, "loss": 2.0})


def test_a_log_is_beside_its_checkpoint(tmp_path, wandb):
    pytest.importorskip("tensorboard")
    checkpoint, config = Checkpoint(tmp_path / "a.pt", "this"), {"seed": 3}
    plain = TrainingRunParameters().step_log(checkpoint, config)
    assert plain == StepLog(tmp_path / "a.jsonl", config=config)
    parameters = TrainingRunParameters(tensorboard=True, wandb=PROJECT)
    log = parameters.step_log(checkpoint, config)
    assert log == StepLog(tmp_path / "a.jsonl", tmp_path / "tensorboard/a", PROJECT, config)


def test_tensorboard_has_the_values_by_step(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = StepLog(tmp_path / "a.jsonl", tmp_path / "board")
    log.write({"step": 3, "loss": 2.0})
    log.write({"step": 4, "loss": 1.0})
    events = EventAccumulator(str(tmp_path / "board")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(3, 2.0), (4, 1.0)]
