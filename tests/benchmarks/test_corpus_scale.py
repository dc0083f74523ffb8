"""Memory and time of data_ingestion, embedding_cache and evaluation over growing corpora.

pytest tests/benchmarks/test_corpus_scale.py -n 0 -s
LARGEST=1000000 pytest tests/benchmarks/test_corpus_scale.py -n 0 -s     # half an hour or more
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from support import make_project

SIZES = sorted({30_000, 100_000, int(os.environ.get("LARGEST", 100_000))})
N_QUERIES, N_WORDS, BATCH = 300, 60, 10_000
PIPELINES = ("data_ingestion", "embedding_cache", "evaluation")
PARAMETERS = {
    "data_ingestion": {"retrieval_sets": ["synthetic"]},
    "embedding_cache": {"encoders": ["hashing"], "collections": []},
    "encoders": {"hashing": {"kind": "hashing", "dimension": 384}},
    "evaluation": {"models": ["bm25", "hashing"]},
}
# Of the pipelines, what leads to the results of the synthetic set.
OUTPUTS = {
    "data_ingestion": "beir.synthetic.corpus,beir.synthetic.queries,beir.synthetic.qrels",
    "embedding_cache": "hashing.synthetic_corpus.vectors,hashing.synthetic_queries.vectors",
    "evaluation": "evaluation_metrics,isotropy_metrics",
}


def texts(count, length, seed):
    """Texts of words that are about as unequally frequent as those of a language."""
    rng, words = np.random.default_rng(seed), np.array([f"word{i}" for i in range(30_000)])
    chances = np.cumsum(1 / np.arange(10, 30_010))
    for start in range(0, count, BATCH):
        drawn = rng.random((min(BATCH, count - start), length)) * chances[-1]
        for row in words[np.searchsorted(chances, drawn)]:
            yield " ".join(row)


def write_set(folder, n_documents):
    """A BEIR folder of documents, queries that are parts of the first ones, and judgements."""
    (folder / "qrels").mkdir(parents=True)
    queries = []
    with (folder / "corpus.jsonl").open("w") as file:
        for i, text in enumerate(texts(n_documents, N_WORDS, 0)):
            file.write(json.dumps({"_id": f"document{i}", "title": "", "text": text}) + "\n")
            if i < N_QUERIES:
                part = " ".join(text.split()[:8])
                queries.append(json.dumps({"_id": f"query{i}", "text": part}))
    (folder / "queries.jsonl").write_text("\n".join(queries))
    judged = [f"query{i}\tdocument{i}\t1" for i in range(N_QUERIES)]
    (folder / "qrels/test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]))


def anonymous(pid):
    """The anonymous memory of a process in MiB: pages of files that it maps are left out."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) / 1024
    except (OSError, TypeError):  # it has ended
        return 0


def run(project, pipeline):
    """Peak memory and seconds of one pipeline."""
    command = [sys.executable, "-m", "kedro", "run", f"--pipelines={pipeline}"]
    start, peak = time.perf_counter(), 0
    with (project / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, f"--to-outputs={OUTPUTS[pipeline]}"], cwd=project, stdout=log, stderr=log
        )
        while process.poll() is None:
            peak = max(peak, anonymous(process.pid))
            time.sleep(0.02)
    assert process.returncode == 0, (project / "log").read_text()
    return {"peak": peak, "seconds": time.perf_counter() - start}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_corpus_and_time_is_linear(tmp_path):
    figures = {}
    for size in SIZES:
        project = make_project(tmp_path / str(size))
        write_set(project / "data/01_raw/beir/synthetic", size)
        (project / "conf/local").mkdir(exist_ok=True)
        (project / "conf/local/parameters.yml").write_text(yaml.safe_dump(PARAMETERS))
        for pipeline in PIPELINES:
            figures[pipeline, size] = run(project, pipeline)
            line = "\n{}, {:,} documents: peak {peak:.0f} MiB, {seconds:.0f} s"
            print(line.format(pipeline, size, **figures[pipeline, size]), flush=True)
        subprocess.run(["rm", "-r", str(project)], check=True)
    for (pipeline, size), figure in figures.items():
        base = figures[pipeline, min(size, 100_000)]
        assert figure["peak"] <= min(2048, 1.3 * base["peak"]), pipeline
        assert figure["seconds"] <= 1.5 * base["seconds"] * size / min(size, 100_000), pipeline
