"""Memory and time of searches over growing corpora, each in a process of its own.

pytest tests/benchmarks/test_search_scale.py -n 0 -s
LARGEST=1000000 pytest tests/benchmarks/test_search_scale.py -n 0 -s
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.lib.format import open_memmap

SIZES = sorted({100_000, 300_000, int(os.environ.get("LARGEST", 0)) or 100_000})
N_QUERIES, N_WORDS, DIMENSION, TOP_K, BATCH = 300, 60, 384, 100, 10_000
SEARCHES = ("bm25", "cosine", "euclidean", "approximate", "isotropy")


def texts(count, length, seed):
    """Texts of words that are about as unequally frequent as those of a language."""
    rng, words = np.random.default_rng(seed), np.array([f"word{i}" for i in range(30_000)])
    chances = np.cumsum(1 / np.arange(10, 30_010))
    for start in range(0, count, BATCH):
        drawn = rng.random((min(BATCH, count - start), length)) * chances[-1]
        yield [" ".join(row) for row in words[np.searchsorted(chances, drawn)]]


def vectors(array, seed):
    """Fill an array with vectors around a thousand centres."""
    centres = np.random.default_rng(0).standard_normal((1000, DIMENSION), dtype=np.float32)
    rng = np.random.default_rng(seed)
    for start in range(0, len(array), BATCH):
        block = array[start : start + BATCH]
        block[:] = centres[rng.integers(1000, size=len(block))]
        block += rng.standard_normal(block.shape, dtype=np.float32)
    return array


def write_corpus(folder, count):
    """Documents, and vectors, as files to be mapped."""
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    with pa.ipc.new_file(folder / "corpus.arrow", schema) as writer:
        for i, block in enumerate(texts(count, N_WORDS, 1)):
            names = [f"document{i * BATCH + j}" for j in range(len(block))]
            writer.write_batch(pa.record_batch([names, block], schema))
    vectors(open_memmap(folder / "corpus.npy", "w+", np.float32, (count, DIMENSION)), 1).flush()


def search(kind, folder):
    """A search, ready to be called."""
    from embedlab.retrieval.isotropy import isotropy
    from embedlab.search.bm25 import Bm25Parameters, bm25_search
    from embedlab.search.exact import exact_search
    from embedlab.search.inverted_file import approximate_search
    from embedlab.text_table import as_ids, column_texts, open_table

    table = open_table(folder / "corpus.arrow")
    query_ids = as_ids(f"q{i}" for i in range(N_QUERIES))
    if kind == "bm25":
        queries = next(texts(N_QUERIES, 8, 2))
        options = query_ids, Bm25Parameters(), TOP_K
        return lambda: bm25_search(column_texts(table, "text"), table["id"], queries, *options)
    corpus = np.load(folder / "corpus.npy", mmap_mode="r")
    if kind == "isotropy":
        return lambda: isotropy(corpus, 10_000, 0)
    queries = vectors(np.empty((N_QUERIES, DIMENSION), np.float32), 2)
    inputs = queries, corpus, query_ids, table["id"], TOP_K
    if kind == "approximate":
        return lambda: print(approximate_search(*inputs, "cosine")[1], file=sys.stderr)
    return lambda: exact_search(*inputs, kind)


def anonymous():
    """Memory that no file backs, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"RssAnon:\s+(\d+)", status)[0]) / 1024


def measure(call):
    """Seconds, and the anonymous memory before the call and at most during it."""
    peak, done = [anonymous()], threading.Event()

    def watch():
        while not done.wait(0.02):
            peak.append(max(peak[-1], anonymous()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    return {"seconds": seconds, "before": peak[0], "peak": peak[-1]}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_and_time_grows_with_the_corpus(tmp_path_factory):
    results = {kind: [] for kind in SEARCHES}
    for size in SIZES:
        folder = tmp_path_factory.mktemp("corpus")
        write_corpus(folder, size)
        for kind, of_sizes in results.items():
            command = [sys.executable, __file__, kind, str(folder)]
            run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            of_sizes.append(json.loads(run.stdout))
            print(
                "\n{}, {}: {:.1f} s, {before:.0f} -> {peak:.0f} MiB".format(
                    kind, size, of_sizes[-1]["seconds"], **of_sizes[-1]
                )
            )
        for file in folder.iterdir():
            file.unlink()
    for kind, (first, *others) in results.items():
        for size, other in zip(SIZES[1:], others, strict=True):
            assert other["peak"] <= 1.3 * first["peak"], kind
            assert other["seconds"] <= 2 * first["seconds"] * size / SIZES[0], kind


if __name__ == "__main__":
    print(json.dumps(measure(search(sys.argv[1], Path(sys.argv[2])))))
