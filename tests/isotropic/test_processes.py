"""Training in two processes, alone and in a pipeline, and training that is killed."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import synthetic_retrieval
import torch
from support import kedro, make_project, untimed
from synthetic_retrieval import UNFROZEN, job_in, long_job, text_data, vector_data

from embedlab.errors import InputError
from embedlab.isotropic.training import MEASURE
from embedlab.tensor_files import read_tensors
from embedlab.training.step_log import StepLog

pytestmark = pytest.mark.usefixtures("one_thread")


def assert_close(weights, others):
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, others[name], rtol=0, atol=1e-4, msg=name)


def assert_rows_agree(rows, others):
    """Logged losses and scores; gradients' norms have no bound to be within 1e-4 of."""
    assert [row["step"] for row in rows] == [row["step"] for row in others]
    for row, other in zip(rows, others, strict=True):
        assert row == pytest.approx(other, rel=1e-4, abs=1e-4)


CASES = {
    "frozen base": (lambda folder: vector_data(), {}),
    "unfrozen base, accumulated": (
        text_data,
        UNFROZEN | {"training": {"max_epochs": 2, "batch_size": 12, "accumulation_steps": 2}},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_as_one_does(tmp_path, case):
    make_data, changes = CASES[case]
    data = make_data(tmp_path)
    alone = job_in(tmp_path / "alone", data, changes)
    both = job_in(tmp_path / "both", data, changes)
    model, history = alone.train()
    shared_model, shared_history = both.train(devices=2)

    assert_rows_agree(untimed(shared_history.rows), untimed(history.rows))
    assert_rows_agree(both.log.rows(), alone.log.rows())
    assert {"contrastive", "isotropy", "reg", "loss"} <= both.log.rows()[1].keys()
    assert_close(shared_model["projection"], model["projection"])
    if model["base"] is not None:
        assert_close(shared_model["base"], model["base"])
    # The best model may be that of the start; the last one has been trained.
    last, shared_last = (job.checkpoint.load()["model"] for job in (alone, both))
    assert_close(shared_last, last)
    assert last["output.weight" if "output.weight" in last else "projection.output.weight"].any()


def test_the_line_of_a_process_is_that_of_the_training(tmp_path):
    job = job_in(tmp_path, vector_data(), {"projection_learning_rate": 1e30})
    with pytest.raises(InputError, match=r"^projection: the loss is not finite in epoch 1; lower"):
        job.train(devices=2)


def kill_when_logged(folder, num_rows, devices=1, stop=signal.SIGKILL):
    """Start `long_job` and end it, but not the processes it has started, after so many rows."""
    program = [sys.executable, synthetic_retrieval.__file__, str(folder), str(devices)]
    process = subprocess.Popen(program, stderr=subprocess.DEVNULL)
    log, deadline = StepLog(folder / "projection.jsonl"), time.monotonic() + 120
    while len(log.rows()) < num_rows:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(stop)
    assert process.wait() != 0
    return log


def test_training_goes_on_where_it_was_killed(tmp_path):
    undisturbed = long_job(tmp_path / "undisturbed")
    model, history = undisturbed.train()

    folder = tmp_path / "killed"
    kill_when_logged(folder, 30)
    killed = long_job(folder)
    step = killed.checkpoint.load()["step"]
    assert 0 < step < 180

    resumed_model, resumed = killed.train()
    assert untimed(resumed.rows) == untimed(history.rows)
    assert all(
        torch.equal(resumed_model["projection"][name], weight)
        for name, weight in model["projection"].items()
    )
    assert killed.log.rows() == undisturbed.log.rows()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.skipif(sys.platform != "linux", reason="others do not end with their parent")
def test_processes_end_with_the_one_that_started_them(tmp_path, stop):
    log = kill_when_logged(tmp_path, 10, devices=2, stop=stop)
    time.sleep(1)
    num_rows = len(log.rows())
    assert num_rows < 180
    time.sleep(1)
    assert len(log.rows()) == num_rows


SETTINGS = """
data_ingestion:
  library_docs: {libraries: [kedro, pydantic], test_libraries: [pydantic], sample_size: 60}
  retrieval_pairs:
    source: msmarco
    train: {files: [train.jsonl]}
    validation: {files: [validation.jsonl]}
isotropic_retrieval:
  retrieval:
    projection_learning_rate: 1.0e-2
    projection: {kind: mlp, dropout: 0.0}
    hard_negatives: {count: 2}
    training: {max_epochs: 2, batch_size: 16}
  ablations:
    only: [full]
"""


def write_pairs(path, numbers):
    """Pairs of a query and a text with one word in common; every other pair has a negative."""
    rows = [
        {"query": f"what is word{i}", "positive": f"word{i} is said of thing{i % 7}"}
        | ({"negative": f"word{i + 1} is something else"} if i % 2 else {})
        for i in numbers
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def train_in_two(project, *parameters):
    """Run the isotropic_retrieval pipeline in two processes."""
    given = ",".join(f"isotropic_retrieval.{own}" for own in ("devices=2", *parameters))
    pipelines = "--pipelines=isotropic_retrieval"
    return kedro(project, "run", "--env=test", pipelines, f"--params={given}")


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """A project in which one process has trained, and one with the same inputs."""
    folder = tmp_path_factory.mktemp("projects")
    project = make_project(folder / "one")
    for old in ("data_ingestion", "isotropic_retrieval"):
        (project / f"conf/test/parameters_{old}.yml").unlink(missing_ok=True)
    (project / "conf/test/parameters_processes.yml").write_text(SETTINGS)
    write_pairs(project / "train.jsonl", range(32))
    write_pairs(project / "validation.jsonl", range(32, 44))
    pipelines = "data_ingestion,embedding_cache,isotropic_retrieval"
    result = kedro(project, "run", "--env=test", f"--pipelines={pipelines}")
    assert result.returncode == 0, result.stderr
    other = shutil.copytree(project, folder / "two")
    shutil.rmtree(other / "data/06_models")
    return project, other


def models_of(project):
    return project / "data/06_models/isotropic/best_model.pt"


def test_an_error_in_the_processes_of_a_run_is_one_line(projects):
    result = train_in_two(projects[1], "retrieval.training.batch_size=1")
    assert result.returncode != 0
    line = result.stderr.splitlines()[-1]
    assert line == ("Error: retrieval: 2 processes for 32 items in batches of 1; use fewer devices")
    assert not models_of(projects[1]).exists()


def test_a_run_trains_in_two_processes_as_in_one(projects):
    result = train_in_two(projects[1])
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    alone, both = (read_tensors(models_of(project)) for project in projects)
    assert_close(both["projection"], alone["projection"])
    logs = [StepLog(p / "data/06_models/checkpoints/isotropic/retrieval.jsonl") for p in projects]
    histories = [log.rows() for log in logs]
    assert_rows_agree(*histories)
    assert histories[0][-1][MEASURE] != histories[0][0][MEASURE]
    vectors = [
        np.load(project / "data/04_feature/isotropic/library_docs_corpus/embeddings.npy")
        for project in projects
    ]
    np.testing.assert_allclose(*vectors, atol=1e-4)
