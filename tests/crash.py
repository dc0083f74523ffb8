"""Killing an encoding run at random moments, and what must hold afterwards."""

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from safetensors import safe_open


def shards_of(store: Path) -> dict[Path, int]:
    """Each finished shard, with the identity of its file."""
    return {path: path.stat().st_ino for path in store.glob("*/[!.]*.safetensors")}


def stored_texts(store: Path) -> int:
    """How many texts the finished shards hold: a shard ends with the batch that fills it."""
    count = 0
    for path in shards_of(store):
        with safe_open(path, framework="numpy") as shard:
            count += shard.get_slice("keys").get_shape()[0]
    return count


def kill_and_restart(
    start: Callable[[], subprocess.Popen[bytes]], store: Path, kills: int, seed: int
) -> int:
    """Kill a run `kills` times, each at a random moment after its first new shard.

    Returns:
        How many of the kills met a run that was still encoding.
    """
    random_delay, met = random.Random(seed), 0
    for _ in range(kills):
        before = shards_of(store)
        process = start()
        while process.poll() is None and len(shards_of(store)) == len(before):
            time.sleep(0.005)
        time.sleep(random_delay.uniform(0, 0.3))
        if process.poll() is None:
            met += 1
            process.send_signal(signal.SIGKILL)
        process.wait()
        after = shards_of(store)
        assert before.items() <= after.items(), "a finished shard was written again"
    return met
