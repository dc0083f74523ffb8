import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedlab.encoders.store import VectorStore, text_keys
from embedlab.errors import InputError


def write(cache, texts, vectors, shard_size=4):
    batches = [([i], vectors[i : i + 1]) for i in range(len(texts))]
    list(cache.write(text_keys(texts), batches, shard_size))
    cache.refresh()


def vectors_for(texts, dimension=3):
    seeds = [int.from_bytes(key[:4].ljust(4, b"\0"), "big") for key in text_keys(texts).tolist()]
    return np.array([np.random.default_rng(s).random(dimension) for s in seeds], dtype=np.float32)


def test_a_written_vector_is_found_by_its_text_alone(tmp_path):
    texts = [f"text {i}" for i in range(11)]
    write(VectorStore(tmp_path).open("f" * 64, {}), texts, vectors_for(texts))
    reopened = VectorStore(tmp_path).open("f" * 64, {})
    shuffled = texts[::-1] + texts[3:5]
    assert reopened.contains(text_keys(shuffled)).all()
    assert np.array_equal(reopened.read(text_keys(shuffled)), vectors_for(shuffled))
    assert not reopened.contains(text_keys(["another"])).any()


def test_another_fingerprint_sees_nothing(tmp_path):
    write(VectorStore(tmp_path).open("a" * 64, {}), ["x"], vectors_for(["x"]))
    assert not VectorStore(tmp_path).open("b" * 64, {}).contains(text_keys(["x"])).any()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text(max_size=5), min_size=1, max_size=30, unique=True),
    st.integers(1, 9),
    st.data(),
)
def test_any_texts_in_any_shards_come_back(tmp_path_factory, texts, shard_size, data):
    cache = VectorStore(tmp_path_factory.mktemp("store")).open("c" * 64, {})
    write(cache, texts, vectors_for(texts), shard_size)
    asked = data.draw(st.lists(st.sampled_from(texts), min_size=1))
    assert np.array_equal(cache.read(text_keys(asked)), vectors_for(asked))


def test_a_half_written_shard_is_invisible(tmp_path):
    cache = VectorStore(tmp_path).open("d" * 64, {})
    write(cache, ["x"], vectors_for(["x"]))
    whole = next(cache.folder.glob("*.safetensors"))
    (cache.folder / ".left-over.77.safetensors").write_bytes(whole.read_bytes()[:50])
    assert len(VectorStore(tmp_path).open("d" * 64, {}).shards) == 1


@pytest.mark.parametrize("size", [0, 5, 60, -1])
def test_a_truncated_shard_is_named(tmp_path, size):
    cache = VectorStore(tmp_path).open("e" * 64, {})
    write(cache, ["x", "y"], vectors_for(["x", "y"]))
    shard = next(cache.folder.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:size])
    with pytest.raises(InputError, match=f"{shard.name}: damaged shard .* encoded again"):
        VectorStore(tmp_path).open("e" * 64, {})


def test_vectors_that_are_not_finite_are_never_stored(tmp_path):
    cache = VectorStore(tmp_path).open("f" * 64, {})
    with pytest.raises(InputError, match="not finite"):
        write(cache, ["x"], np.array([[1.0, np.nan]], dtype=np.float32))
    assert not list(cache.folder.glob("*.safetensors"))


def test_an_interrupted_write_keeps_its_finished_shards(tmp_path):
    cache = VectorStore(tmp_path).open("a" * 64, {})
    texts = [f"text {i}" for i in range(10)]
    vectors = vectors_for(texts)

    def interrupted():
        for i in range(7):
            yield [i], vectors[i : i + 1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(cache.write(text_keys(texts), interrupted(), shard_size=3))
    cache.refresh()
    assert cache.contains(text_keys(texts)).sum() == 6


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only folders")
def test_a_read_only_store_says_so(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        VectorStore(tmp_path).open("a" * 64, {})


def test_two_processes_may_write_at_once(tmp_path):
    program = """
import sys
from pathlib import Path
from embedlab.encoders.embed import embed
from embedlab.encoders.parameters import ExecutionParameters, HashingParameters
from embedlab.encoders.recipe import make_recipe
from embedlab.encoders.store import VectorStore
import numpy as np
root, start, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
execution = ExecutionParameters(shard_size=7)
recipe = make_recipe(HashingParameters(kind="hashing"), "document", execution)
texts = [f"some text {i} {i * i}" for i in range(start, stop)]
vectors, _ = embed([texts], recipe, VectorStore(root / "store"), execution)
np.save(root / f"{start}.npy", vectors.read())
"""
    ranges = [(0, 3000), (1000, 4000)]
    workers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(a), str(b)])
        for a, b in ranges
    ]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    first, second = (np.load(Path(tmp_path) / f"{a}.npy") for a, _ in ranges)
    assert np.array_equal(first[1000:], second[:2000])
