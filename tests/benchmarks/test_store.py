"""The store with a hundred thousand shards of a hundred keys.

pytest tests/benchmarks/test_store.py -n 0 -s
"""

import hashlib
import time
from pathlib import Path

import numpy as np
from support import seconds

from embedlab.encoders.shards import shard_bytes
from embedlab.encoders.store import KEY_BYTES, VectorStore

SHARDS, LENGTH, DIMENSION, WINDOW = 100_000, 100, 4, 4096


def anonymous_memory():
    """Bytes of memory of this process that no file backs."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024


def shard_keys(number):
    seed = np.random.default_rng(number)
    return seed.integers(0, 256, size=(LENGTH, KEY_BYTES), dtype=np.uint8)


def fill(folder):
    for number in range(SHARDS):
        vectors = np.full((LENGTH, DIMENSION), number, dtype=np.float32)
        name = hashlib.sha256(str(number).encode()).hexdigest()[:32]
        content = shard_bytes(shard_keys(number), vectors)
        (folder / f"{name}.safetensors").write_bytes(content)


def test_ten_million_keys(tmp_path):
    store, caches = VectorStore(tmp_path), []
    folder = store.open("f" * 64, {}).folder.path
    print(f"\n{SHARDS:,} shards written in {seconds(lambda: fill(folder)):.0f} s")
    before, processor = anonymous_memory(), time.process_time()
    opening = seconds(lambda: caches.append(store.open("f" * 64, {})))
    processor = time.process_time() - processor
    cache = caches[0]
    growth = (anonymous_memory() - before) / (SHARDS * LENGTH)
    print(
        f"opened in {opening:.1f} s ({processor:.1f} s of the processor), {growth:.0f} bytes a key"
    )
    print(f"refreshed, nothing new: {seconds(cache.refresh):.2f} s")
    asked = np.random.default_rng(0).integers(SHARDS, size=WINDOW)
    keys = np.concatenate([shard_keys(number)[:1] for number in asked]).view("S32").ravel()
    together = np.concatenate([shard_keys(number) for number in range(41)]).view("S32").ravel()
    print(f"{WINDOW} keys found in {seconds(lambda: cache.contains(keys)):.3f} s")
    print(f"{WINDOW} vectors of as many shards read in {seconds(lambda: cache.read(keys)):.2f} s")
    print(f"4100 vectors of 41 shards read in {seconds(lambda: cache.read(together)):.3f} s")
    assert (cache.read(keys)[:, 0] == asked).all()
    assert processor < 30
    assert growth < 40
