"""`kedro run` killed twenty times, and two at once, on SciFact's documents with minilm.

pytest tests/benchmarks/test_kill_and_resume.py -n 0 -s
"""

import re
import subprocess
import sys

from crash import kill_and_restart, stored_texts
from support import make_project

from embedlab.text_table import spill, write_table

OPTIONS = "embedding_cache.execution.shard_size=64"


def add_set(project, name, texts):
    """The documents of a retrieval set, ingested under this name."""
    rows = ((f"d{i}", "", text) for i, text in enumerate(texts))
    table = spill(rows, ["id", "title", "text"])
    write_table(table, project / "data/03_primary/beir" / name / "corpus.arrow")


def start(project, name):
    """Embed one set's documents with the real command."""
    sets = f"data_ingestion.retrieval_sets=[{name}]"
    command = ["kedro", "run", f"--to-outputs=minilm.{name}_corpus.vectors"]
    options = ["--pipelines=embedding_cache", f"--params={sets},{OPTIONS}"]
    return subprocess.Popen(
        [sys.executable, "-m", *command, *options], cwd=project, stderr=subprocess.PIPE
    )


def finish(process):
    """Wait for a run to succeed, and say how many texts it encoded."""
    _, log = process.communicate(timeout=1200)
    assert process.returncode == 0, log.decode()
    return int(re.search(r"items: (\d+) texts encoded", log.decode()).group(1))


def published(project, name):
    return (project / f"data/04_feature/minilm/{name}_corpus/embeddings.npy").read_bytes()


def test_twenty_kills_change_nothing(scifact_texts, tmp_path):
    disturbed, undisturbed = (
        make_project(tmp_path / "disturbed"),
        make_project(tmp_path / "undisturbed"),
    )
    for project in (disturbed, undisturbed):
        add_set(project, "part", scifact_texts[:2200])
    store = disturbed / "data/04_feature/embedding_store"
    met = kill_and_restart(lambda: start(disturbed, "part"), store, kills=20, seed=0)
    kept = stored_texts(store)
    last = finish(start(disturbed, "part"))
    distinct = finish(start(undisturbed, "part"))
    print(f"\n{met} of 20 kills met a run at work; {kept} texts were kept, {last} texts were left")
    assert met == 20
    assert last == distinct - kept
    assert published(disturbed, "part") == published(undisturbed, "part")


def test_two_runs_at_once_give_the_same_bytes(scifact_texts, tmp_path):
    together, alone = make_project(tmp_path / "together"), make_project(tmp_path / "alone")
    for project in (together, alone):
        add_set(project, "first", scifact_texts[:400])
        add_set(project, "second", scifact_texts[200:600])
    runs = [start(together, "first"), start(together, "second")]
    counts = [finish(run) for run in runs]
    expected = [finish(start(alone, "second")), finish(start(alone, "first"))]
    print(f"\nat once: {counts} texts encoded; one after the other: {expected[::-1]}")
    for name in ("first", "second"):
        assert published(together, name) == published(alone, name)
