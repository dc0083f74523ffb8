"""Nearest neighbours: exact against scikit-learn's brute force, approximate on a million rows.

pytest tests/benchmarks/test_neighbours.py -n 0 -s
"""

import json
import subprocess
import sys

import numpy as np
from sklearn.neighbors import NearestNeighbors
from support import ratio_to_peer

from embedlab.search.neighbours import nearest_neighbours

K = 20

# The peak of the memory in use, unlike ru_maxrss, leaves out that of the process that started this.
MEASURE = """
import json, re, sys, time
from pathlib import Path
import numpy as np
from embedlab.search.approximate import approximate_neighbours
from embedlab.search.neighbours import nearest_neighbours

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 2**20

search = {"exact": nearest_neighbours, "approximate": approximate_neighbours}[sys.argv[1]]
vectors = np.load(sys.argv[2], mmap_mode="r")
search(vectors[:500], 20)  # what libraries allocate once
before, start = peak(), time.perf_counter()
_, rows, *recall = search(vectors, 20)
figures = {"seconds": time.perf_counter() - start, "extra_gib": peak() - before, "peak_gib": peak()}
np.save(sys.argv[3], rows)
print(json.dumps(figures | {"recall": recall}))
"""


def clustered(n_rows, dimension, n_clusters):
    """Normal clusters of half the spread of their centres."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((n_clusters, dimension), dtype=np.float32)
    vectors = 0.5 * rng.standard_normal((n_rows, dimension), dtype=np.float32)
    vectors += centres[rng.integers(0, n_clusters, n_rows)]
    return vectors


def measure(kind, vectors, folder):
    """Search in a fresh process; its figures, and the neighbours that it found."""
    np.save(folder / "vectors.npy", vectors)
    paths = [str(folder / name) for name in ("vectors.npy", "rows.npy")]
    command = [sys.executable, "-c", MEASURE, kind, *paths]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(result.stdout), np.load(folder / "rows.npy", mmap_mode="r")


def test_exact_neighbours_beat_scikit_learn(tmp_path, benchmark):
    vectors = clustered(28_000, 384, 300)

    def theirs():
        return NearestNeighbors(n_neighbors=K, algorithm="brute").fit(vectors).kneighbors()

    median = ratio_to_peer(benchmark, lambda: nearest_neighbours(vectors, K), theirs, rounds=5)
    (distances, rows), (expected, expected_rows) = nearest_neighbours(vectors, K), theirs()
    difference = np.abs(distances - expected).max()
    figures, _ = measure("exact", vectors, tmp_path)
    ratios = ", ".join(f"{ratio:.2f}" for ratio in benchmark.extra_info["ratios"])
    print(f"\n28,000 x 384, k = {K}: {median:.2f}x the speed of scikit-learn ({ratios})")
    print(f"ours: median {benchmark.stats.stats.median:.1f} s")
    print(f"greatest difference of a distance: {difference:.1e}")
    print(f"the same rows in the same places: {(rows == expected_rows).mean():.5f}")
    print(f"peak extra memory: {figures['extra_gib']:.2f} GiB")
    assert median >= 1.5
    assert difference <= 1e-4
    assert figures["extra_gib"] < 1


def test_approximate_neighbours_of_a_million(tmp_path):
    vectors = clustered(1_000_000, 128, 2000)
    figures, rows = measure("approximate", vectors, tmp_path)
    sample = np.random.default_rng(1).choice(len(vectors), 300, replace=False)
    search = NearestNeighbors(n_neighbors=K + 1, algorithm="brute").fit(vectors)
    true = search.kneighbors(vectors[sample], return_distance=False)[:, 1:]
    found = [len(np.intersect1d(*both)) for both in zip(rows[sample], true, strict=True)]
    recall = np.mean(found) / K
    print(f"\n1,000,000 x 128, k = {K}: {figures['seconds']:.0f} s")
    print(f"peak memory {figures['peak_gib']:.2f} GiB, the map of the vectors included")
    print(f"recall@{K}: {figures['recall'][0]:.4f} reported, {recall:.4f} against scikit-learn")
    assert figures["recall"][0] >= 0.95
    assert recall >= 0.95
