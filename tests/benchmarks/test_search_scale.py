"""Memory and time of searches over growing corpora, each in a process of its own.

pytest tests/benchmarks/test_search_scale.py -n 0 -s
LARGEST=1000000 pytest tests/benchmarks/test_search_scale.py -n 0 -s
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from benchmarks.test_corpus_scale import BATCH, N_QUERIES, N_WORDS, anonymous, texts
from numpy.lib.format import open_memmap
from support import ROOT

from embedlab.retrieval.isotropy import isotropy
from embedlab.search.bm25 import Bm25Parameters, bm25_search
from embedlab.search.exact import exact_search
from embedlab.search.inverted_file import approximate_search
from embedlab.text_table import as_ids, column_texts, open_table, write_rows

SIZES = sorted({100_000, 300_000, int(os.environ.get("LARGEST", 0)) or 100_000})
DIMENSION, TOP_K = 384, 100
SEARCHES = ("bm25", "cosine", "euclidean", "approximate", "isotropy")


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
    rows = ((f"document{i}", text) for i, text in enumerate(texts(count, N_WORDS, 1)))
    write_rows(rows, ["id", "text"], folder / "corpus.arrow")
    vectors(open_memmap(folder / "corpus.npy", "w+", np.float32, (count, DIMENSION)), 1).flush()


def search(kind, folder):
    """A search, ready to be called."""
    table = open_table(folder / "corpus.arrow")
    query_ids = as_ids(f"q{i}" for i in range(N_QUERIES))
    if kind == "bm25":
        queries = list(texts(N_QUERIES, 8, 2))
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


def measure(call):
    """Seconds, and the anonymous memory before the call and at most during it."""
    peak, done = [anonymous("self")], threading.Event()

    def watch():
        while not done.wait(0.02):
            peak.append(max(peak[-1], anonymous("self")))

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
            command = [sys.executable, "-m", "benchmarks.test_search_scale", kind, str(folder)]
            run = subprocess.run(
                command, cwd=ROOT / "tests", stdout=subprocess.PIPE, text=True, check=True
            )
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
