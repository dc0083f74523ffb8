import subprocess
import sys

import numpy as np
from crash import kill_and_restart, stored_texts

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

root = Path(sys.argv[1])
execution = ExecutionParameters(shard_size=20)
recipe = make_recipe(HashingParameters(kind="hashing"), "document", execution)
texts = [f"the text of item {i}" for i in range(1500)]
vectors, report = embed([texts], recipe, VectorStore(root / "store"), execution)
np.save(root / "vectors.npy", vectors.read())
print(report.misses)
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    disturbed, undisturbed = tmp_path / "disturbed", tmp_path / "undisturbed"

    def start(folder):
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)], stdout=subprocess.PIPE
        )

    for folder in (disturbed, undisturbed):
        folder.mkdir()
    assert kill_and_restart(lambda: start(disturbed), disturbed / "store", kills=3, seed=1) == 3
    kept = stored_texts(disturbed / "store")
    output, _ = start(disturbed).communicate(timeout=120)
    assert int(output) == 1500 - kept
    start(undisturbed).communicate(timeout=120)
    written, expected = (np.load(f / "vectors.npy") for f in (disturbed, undisturbed))
    assert written.tobytes() == expected.tobytes()
