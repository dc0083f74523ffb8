"""Training in two processes, from a node and from the shell, and training that is killed."""

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
from embedlab.parameters import Parameters
from embedlab.tensor_files import read_tensors
from embedlab.training import worker
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.job import KINDS, Job, load_job
from embedlab.training.jobs import run_job
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
    model, history = run_job(alone)
    shared_model, shared_history = run_job(both, devices=2)

    assert_rows_agree(untimed(shared_history), untimed(history))
    assert_rows_agree(both.log.rows(), alone.log.rows())
    assert {"contrastive", "isotropy", "reg", "loss"} <= both.log.rows()[1].keys()
    assert_close(shared_model["projection"], model["projection"])
    if model["base"] is not None:
        assert_close(shared_model["base"], model["base"])
    # The best model may be that of the start; the last one has been trained.
    last, shared_last = (job.checkpoint.load()["model"] for job in (alone, both))
    assert_close(shared_last, last)
    assert last["output.weight" if "output.weight" in last else "projection.output.weight"].any()
    assert not list(both.checkpoint.path.parent.glob("*.job")), "the data were copied for good"


@pytest.fixture
def one_worker(monkeypatch):
    """The processes' side of a launch, alone and without a process of its own."""

    def in_this_process(command, **_):
        monkeypatch.setattr(sys, "argv", command[-2:])
        worker.main()
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", in_this_process)
    for name in ("RANK", "LOCAL_RANK", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    yield
    if torch.distributed.is_initialized():  # after an error, which ends a process
        torch.distributed.destroy_process_group()


def test_the_line_of_a_process_is_that_of_the_run(tmp_path, one_worker):
    job = job_in(tmp_path, vector_data(), {"projection_learning_rate": 1e30})
    with pytest.raises(InputError, match=r"^projection: the loss is not finite in epoch 1; lower"):
        run_job(job, devices=2)
    assert not list(tmp_path.glob("*.job"))


class Relay(Job):
    """A training of another kind: each process adds its name to the checkpoint."""

    kind = "relay"
    parameters_type = Parameters

    def train(self):
        names = (self.checkpoint.load() or {"names": []})["names"]
        self.checkpoint.save({"names": [*names, self.data]})
        return self.checkpoint.load(), []

    def write_data(self, folder):
        pass

    @staticmethod
    def read_data(folder):
        return "worker"


def test_a_job_of_any_kind_trains_in_processes_of_its_own(tmp_path, monkeypatch, one_worker):
    monkeypatch.setitem(KINDS, "relay", f"{__name__}:Relay")
    relay = Relay("relay", "first", Parameters(), Checkpoint(tmp_path / "relay.pt", "relay"))
    assert run_job(relay, devices=2) == ({"names": ["worker", "first"]}, [])
    assert not list(tmp_path.glob("*.job"))


def test_a_kind_is_one_of_a_fixed_table(tmp_path):
    """No folder names a module of its own to be imported."""
    (tmp_path / "settings.json").write_text(json.dumps({"kind": __name__}))
    with pytest.raises(KeyError):
        load_job(tmp_path)


def test_training_goes_on_where_it_was_killed(tmp_path):
    undisturbed = long_job(tmp_path / "undisturbed")
    model, history = run_job(undisturbed)

    folder = tmp_path / "killed"
    program = [sys.executable, synthetic_retrieval.__file__, str(folder)]
    process = subprocess.Popen(program, stderr=subprocess.DEVNULL)
    log, deadline = StepLog(folder / "projection.jsonl"), time.monotonic() + 120
    while len(log.rows()) < 30:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    killed = long_job(folder)
    step = killed.checkpoint.load()["step"]
    assert 0 < step < 180

    resumed_model, resumed = run_job(killed)
    assert untimed(resumed) == untimed(history)
    assert all(
        torch.equal(resumed_model["projection"][name], weight)
        for name, weight in model["projection"].items()
    )
    assert killed.log.rows() == undisturbed.log.rows()


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


def torchrun(project, *arguments):
    """Run the isotropic_retrieval pipeline in two processes, as a user would."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*launcher, "--nproc-per-node=2", "-m", "embedlab"]
    return subprocess.run(
        [*command, "--env=test", "--pipelines=isotropic_retrieval", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """A project that `kedro run` has trained in, and one with the same inputs."""
    folder = tmp_path_factory.mktemp("projects")
    project = make_project(folder / "kedro")
    for old in ("data_ingestion", "isotropic_retrieval"):
        (project / f"conf/test/parameters_{old}.yml").unlink(missing_ok=True)
    (project / "conf/test/parameters_processes.yml").write_text(SETTINGS)
    write_pairs(project / "train.jsonl", range(32))
    write_pairs(project / "validation.jsonl", range(32, 44))
    pipelines = "data_ingestion,embedding_cache,isotropic_retrieval"
    result = kedro(project, "run", "--env=test", f"--pipelines={pipelines}")
    assert result.returncode == 0, result.stderr
    other = shutil.copytree(project, folder / "torchrun")
    shutil.rmtree(other / "data/06_models")
    return project, other


def models_of(project):
    return project / "data/06_models/isotropic/best_model.pt"


def test_an_error_under_torchrun_is_one_line(projects):
    batch_size = "isotropic_retrieval.retrieval.training.batch_size"
    result = torchrun(projects[1], f"--params={batch_size}=1")
    assert result.returncode != 0
    # Around it stands what torchrun says of a process that ended with an error.
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert line.endswith(": 2 processes for 32 items in batches of 1; use fewer devices")
    assert not models_of(projects[1]).exists()


def test_torchrun_trains_as_kedro_run_does(projects):
    result = torchrun(projects[1])
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
