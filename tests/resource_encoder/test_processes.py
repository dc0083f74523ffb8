"""Pre-training of the resource encoder in two processes, and in one that is killed."""

import signal
import subprocess
import sys
import time

import pytest
import synthetic_resources
import torch
from support import untimed
from synthetic_resources import job_in, long_job, resource_data

from embedlab.training.step_log import StepLog

pytestmark = pytest.mark.usefixtures("one_thread")


def moved_weights(content):
    """All weights but the bias of keys, which adds the same to all scores of a query.

    Softmax leaves it no gradient but rounding, which AdamW enlarges.
    """
    weights, name = dict(content["encoder"]), "fusion.attention.in_proj_bias"
    query, _, value = weights[name].chunk(3)
    return weights | {name: torch.cat([query, value])}


def test_two_processes_train_as_one_does(tmp_path, capfd):
    data = resource_data(tmp_path / "llm")
    changes = {"training": {"max_epochs": 2, "accumulation_steps": 2}}
    alone, both = (job_in(tmp_path / name, data, changes) for name in ("alone", "both"))
    content, history = alone.train()
    shared, shared_history = both.train(devices=2)
    assert capfd.readouterr().err.count("| 0/4 [") == 2  # one progress bar for each training

    for rows, others in (
        (untimed(shared_history.rows), untimed(history.rows)),
        (both.log.rows(), alone.log.rows()),
    ):
        assert len(rows) == len(others) > 1
        for row, other in zip(rows, others, strict=True):
            assert row == pytest.approx(other, rel=1e-4, abs=1e-4)
    weights, others = (moved_weights(own) for own in (content, shared))
    for name, weight in weights.items():
        torch.testing.assert_close(others[name], weight, rtol=0, atol=1e-4, msg=name)


def test_training_goes_on_where_it_was_killed(tmp_path):
    folders = [tmp_path / name for name in ("undisturbed", "killed")]
    for folder in folders:
        folder.mkdir()
    undisturbed = long_job(folders[0])
    content, history = undisturbed.train()

    program = [sys.executable, synthetic_resources.__file__, str(folders[1])]
    process = subprocess.Popen(program, stderr=subprocess.DEVNULL)
    log, deadline = StepLog(folders[1] / "encoder.jsonl"), time.monotonic() + 120
    while len(log.rows()) < 30:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    killed = long_job(folders[1])
    assert 0 < killed.checkpoint.load()["step"] < history.last["step"]

    resumed, further = killed.train()
    assert untimed(further.rows) == untimed(history.rows)
    assert resumed["encoder"].keys() == content["encoder"].keys()
    for name, weight in content["encoder"].items():
        assert torch.equal(resumed["encoder"][name], weight), name
    assert killed.log.rows() == undisturbed.log.rows()
