import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
from crash import kill_and_restart, shards_of, stored_texts

# The hashing encoder is too fast to be caught at work, so each of its batches waits a little.
PROGRAM = """
import sys, time
from pathlib import Path
import numpy as np
from embedlab.encoders import hashing
from embedlab.encoders.embed import embed
from embedlab.encoders.parameters import ExecutionParameters, HashingParameters
from embedlab.encoders.recipe import make_recipe
from embedlab.encoders.store import VectorStore

hashing.ROWS_PER_BATCH = 1
whole = hashing.HashingEncoder.encode
def slowly(self, texts):
    for batch in whole(self, texts):
        time.sleep(0.002)
        yield batch
hashing.HashingEncoder.encode = slowly

if __name__ == "__main__":
    root = Path(sys.argv[1])
    execution = ExecutionParameters(shard_size=20, processes=int(sys.argv[2]))
    recipe = make_recipe(HashingParameters(kind="hashing"), "document", execution)
    texts = [f"the text of item {i}" for i in range(1500)]
    vectors, report = embed([texts], recipe, VectorStore(root / "store"), execution)
    np.save(root / "vectors.npy", vectors.read())
    print(report.misses)
"""


def start(folder, processes=1):
    """Start the program, which is a file so that its processes find it."""
    program = folder / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(folder), str(processes)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def encoding_processes(parent):
    """The ids of the processes that a run has started to encode."""
    command = ["pgrep", "-P", str(parent.pid), "-f", "spawn_main"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(line) for line in found.stdout.split()]


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    disturbed, undisturbed = tmp_path / "disturbed", tmp_path / "undisturbed"

    for folder in (disturbed, undisturbed):
        folder.mkdir()
    assert kill_and_restart(lambda: start(disturbed), disturbed / "store", kills=3, seed=1) == 3
    kept = stored_texts(disturbed / "store")
    output, _ = start(disturbed).communicate(timeout=120)
    assert int(output) == 1500 - kept
    start(undisturbed).communicate(timeout=120)
    written, expected = (np.load(f / "vectors.npy") for f in (disturbed, undisturbed))
    assert written.tobytes() == expected.tobytes()


def test_a_run_ends_when_one_of_its_processes_is_killed(tmp_path):
    run, store = start(tmp_path, processes=2), tmp_path / "store"
    while run.poll() is None and not shards_of(store):
        time.sleep(0.01)
    os.kill(encoding_processes(run)[0], signal.SIGKILL)
    _, errors = run.communicate(timeout=120)
    assert re.search(r"InputError: process \d terminated with signal SIGKILL; finished", errors)
    kept = stored_texts(store)
    output, _ = start(tmp_path, processes=2).communicate(timeout=120)
    assert kept > 0
    assert int(output) == 1500 - kept
