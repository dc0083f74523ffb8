"""What tests share: projects to run in, commands to run, clocks to compare."""

import hashlib
import json
import logging
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from embedlab.encoders.embeddings import NewEmbeddings, VectorStream, blocks_of
from embedlab.text_table import as_ids

ROOT = Path(__file__).resolve().parents[1]
# Artifacts whose paths hold one of these words also hold how long something took.
TIMED = ("history", "summary", "rnd", "ablations", "success_criteria")
SHARED = ROOT.parent / "shared" / "data"


def make_project(folder: Path) -> Path:
    """A project folder of its own: the installed code, this configuration, empty data."""
    # Kedro wants the source folder to be there, even if the package is found elsewhere.
    (folder / "src").mkdir(parents=True)
    shutil.copytree(ROOT / "conf", folder / "conf")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "data").mkdir()
    return folder


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON lines."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def local(*paths: Path, **more: Any) -> dict[str, Any]:
    """The parameters of a source of local files."""
    return {"files": tuple(map(str, paths)), **more}


def kedro(project: Path, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run `kedro` in a project as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "kedro", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def contents(project: Path) -> dict[Path, str]:
    """The digest of every artifact whose bytes a repetition of the run gives again.

    Hidden files are records, and what a killed run has not finished.
    """
    files = [path for path in (project / "data").rglob("[!.]*") if path.is_file()]
    names = {path.relative_to(project): path for path in files}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in names.items()
        if path.suffix != ".png"
        and not {"checkpoints", "embedding_store"} & set(name.parts)
        and not any(part.startswith(".") for part in name.parts)
        and not any(word in str(name) for word in TIMED)
    }


def messages_of(caplog: pytest.LogCaptureFixture, level: int = logging.NOTSET) -> list[str]:
    """What embedlab logged at this level or above; what libraries logged is left out."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("embedlab.") and record.levelno >= level
    ]


def untimed(history: list[dict[str, float]]) -> list[dict[str, float]]:
    """What a training found at each validation, but for how long it took."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]


def seconds(function: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def ratio_to_peer(
    benchmark: Any, ours: Callable[[], object], peer: Callable[[], object], rounds: int
) -> float:
    """Time two functions in turn, so that both meet the same machine.

    Returns:
        The median over the rounds of the peer's time over ours.
    """
    peers: list[float] = []
    benchmark.pedantic(ours, setup=lambda: peers.append(seconds(peer)), rounds=rounds)
    ratios = [theirs / own for theirs, own in zip(peers, benchmark.stats.stats.data, strict=True)]
    benchmark.extra_info["ratios"] = ratios
    return statistics.median(ratios)


def new_embeddings(vectors, ids, metadata):
    """Embeddings of vectors in memory, to be saved."""
    stream = VectorStream(vectors.shape, partial(blocks_of, vectors))
    return NewEmbeddings(stream, as_ids(ids), metadata)
