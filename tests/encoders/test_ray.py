"""Encoding by workers of a Ray cluster of this machine, some of which are killed."""

import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from synthetic_encoders import recipe_of, save_shape

from embedlab.encoders.embed import embed
from embedlab.encoders.parameters import ExecutionParameters, HashingParameters
from embedlab.encoders.recipe import make_recipe
from embedlab.encoders.store import VectorStore
from embedlab.errors import InputError

TEXTS = [f"the cat ran on mat {i} " + "and sat " * (i % 40) for i in range(1500)]
LOCAL = ExecutionParameters(shard_size=50)
RAY = ExecutionParameters(
    engine="ray", shard_size=50, ray={"num_workers": 2, "num_cpus": 0.5, "max_losses": 2}
)


def watch_workers():
    """Make the hashing encoder of a worker slow, tell its process and texts, and bear no poison."""
    import os
    import signal
    import time
    from pathlib import Path

    from embedlab.encoders import hashing

    hashing.ROWS_PER_BATCH = 10
    whole, log = hashing.HashingEncoder.encode, Path(os.environ["WATCHED"]) / str(os.getpid())

    def encode(self, texts):
        for indices, vectors in whole(self, texts):
            if any("poison" in texts[i] for i in indices):
                os.kill(os.getpid(), signal.SIGKILL)
            with log.open("a") as file:
                file.writelines(f"{texts[i]}\n" for i in indices)
            time.sleep(0.03)
            yield indices, vectors

    hashing.HashingEncoder.encode = encode


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A folder of one file per worker, which is named after its process and lists its texts."""
    ray = pytest.importorskip("ray", reason="needs the package ray")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers have no tests
    folder = tmp_path_factory.mktemp("watched")
    environment = {"env_vars": {"WATCHED": str(folder)}, "worker_process_setup_hook": watch_workers}
    options = {"num_cpus": 2, "include_dashboard": False, "logging_level": "warning"}
    try:
        ray.init(address="local", runtime_env=environment, **options)
    except Exception as error:  # its processes must answer within 15 seconds
        pytest.skip(f"Ray does not start on so busy a machine: {error}")
    yield folder
    ray.shutdown()


@pytest.fixture
def recipe():
    return make_recipe(HashingParameters(kind="hashing"), "document", LOCAL)


def kill_a_worker(folder: Path, killed: list[int]):
    """Kill the first worker that has encoded 200 texts."""
    while not killed:
        for path in folder.iterdir():
            if path.read_text().count("\n") >= 200:
                os.kill(int(path.name), signal.SIGKILL)
                killed.append(int(path.name))
                return
        time.sleep(0.02)


def test_a_killed_worker_costs_the_shard_in_flight(watched, recipe, tmp_path, caplog):
    expected, _ = embed([TEXTS], recipe, VectorStore(tmp_path / "local"), LOCAL)
    killed: list[int] = []
    killer = threading.Thread(target=kill_a_worker, args=(watched, killed), daemon=True)
    killer.start()
    vectors, report = embed([TEXTS], recipe, VectorStore(tmp_path / "ray"), RAY)
    killer.join()
    assert vectors.read().tobytes() == expected.read().tobytes()
    assert report.misses == len(TEXTS)
    encoded = [line for path in watched.iterdir() for line in path.read_text().splitlines()]
    assert set(encoded) == set(TEXTS)
    assert len(encoded) - len(TEXTS) <= RAY.shard_size + 10, "stored texts were encoded again"
    assert re.search(r"1 worker\(s\) were lost; \d+ texts were encoded by others", caplog.text)


def test_a_text_that_ends_its_worker_is_found(watched, recipe, tmp_path):
    texts = ["one", "poison for all", "another"]
    store = VectorStore(tmp_path)
    with pytest.raises(
        InputError, match=r"^the text that begins 'poison for all' \(SHA-256 \w{64}\)"
    ):
        embed([texts], recipe, store, RAY)
    _, report = embed([["one", "another"]], recipe, store, LOCAL)
    assert report.hits >= 1, "what was encoded is lost"


def test_a_sentence_transformer_gives_the_same_bits(watched, tmp_path):
    recipe = recipe_of(save_shape("prompts", tmp_path / "model"))
    texts = TEXTS[:700]
    execution = ExecutionParameters.model_validate(RAY.model_dump())
    vectors, _ = embed([texts], recipe, VectorStore(tmp_path / "ray"), execution)
    expected, _ = embed([texts], recipe, VectorStore(tmp_path / "local"), LOCAL)
    assert vectors.read().tobytes() == expected.read().tobytes()


def test_an_encoder_that_cannot_be_loaded_is_one_line(watched, tmp_path):
    folder = save_shape("mean", tmp_path / "model")
    recipe = recipe_of(folder)
    (folder / "modules.json").write_text("[]")
    with pytest.raises(
        InputError, match=r"^encoder model \S+: is another model on a worker's node"
    ):
        embed([TEXTS], recipe, VectorStore(tmp_path / "ray"), RAY)
