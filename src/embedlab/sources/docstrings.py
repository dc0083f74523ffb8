"""Docstrings of installed libraries, read from their source files; nothing is imported."""

import gc
import importlib.util
import logging
import multiprocessing
import os
import sysconfig
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from tqdm import tqdm

from embedlab.sources.docstring_parser import ObjectDoc, documented_objects

logger = logging.getLogger(__name__)

# Stands for the standard library, whose modules have no common prefix.
STANDARD_LIBRARY = "stdlib"
# Tests and copies of other projects: not documentation of the library.
SKIPPED_FOLDERS = frozenset({"test", "tests", "vendor", "vendored", "extern", "externals"})
# A summary of more objects than this is generated or copied boilerplate.
MAX_REPEATS = 3
# Fewer files than this are parsed faster than worker processes start.
MIN_FILES_FOR_A_POOL = 200
# Files per task: few enough to spread the large files, many enough to limit IPC overhead.
CHUNK_SIZE = 16

COLUMNS = ["library", "name", "kind", "summary", "body"]


class ModuleFile(NamedTuple):
    """A public module of a library and its source file."""

    library: str
    module: str
    path: Path


def extract_docs(libraries: Iterable[str]) -> pd.DataFrame:
    """Read the usable docstrings of the public classes and functions of installed libraries.

    Libraries are top-level import names, or `stdlib`. One that is not installed is skipped and
    logged; a file that cannot be read or parsed is skipped and counted.

    Returns:
        Columns library, name (dotted), kind (class or function), summary, body; one row per
        distinct pair of summary and body, sorted by library and name, names unique. Its `attrs`
        hold `files_read` and `files_unparsable`.
    """
    files = [file for library in dict.fromkeys(libraries) for file in public_modules(library)]
    parsed = list(tqdm(_parsed(files), "Reading docstrings", len(files), unit="file"))
    found = zip(files, parsed, strict=True)
    rows = [(file.library, *doc) for file, docs in found for doc in docs or ()]
    docs = _distinct(pd.DataFrame(rows, columns=COLUMNS))
    docs.attrs = {"files_read": len(files), "files_unparsable": parsed.count(None)}
    logger.info("%d usable docstrings in %d source files", len(docs), len(files))
    return docs


def public_modules(library: str) -> Iterator[ModuleFile]:
    """Yield the modules of a library in whose dotted names no part begins with `_`."""
    root = _library_root(library)
    if root is None:
        logger.warning("Library %s has no Python source installed: skipped", library)
    elif root.is_file():
        yield ModuleFile(library, library, root)
    else:
        prefix = () if library == STANDARD_LIBRARY else (library,)
        for path in _public_files(root):
            parts = (*prefix, *path.relative_to(root).with_suffix("").parts)
            yield ModuleFile(library, ".".join(parts).removesuffix(".__init__"), path)


def _library_root(library: str) -> Path | None:
    """The folder of a package or the file of a module; None if it has no Python source."""
    if library == STANDARD_LIBRARY:
        return Path(sysconfig.get_paths()["stdlib"])
    # `find_spec` of a dotted name would import its parents.
    spec = importlib.util.find_spec(library) if library.isidentifier() else None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    origin = Path(spec.origin)
    return origin.parent if origin.name == "__init__.py" else origin


def _public_files(root: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if _is_public(name))
        for path in (Path(folder, name) for name in sorted(names)):
            if path.suffix == ".py" and (path.stem == "__init__" or _is_public(path.stem)):
                yield path


def _is_public(name: str) -> bool:
    """Whether a file's stem or a folder is a public module (`site-packages` is no identifier)."""
    private = name.startswith(("_", "test_")) or name in SKIPPED_FOLDERS
    return name.isidentifier() and not private


def _parsed(files: list[ModuleFile]) -> Iterator[list[ObjectDoc] | None]:
    """Parse every file, many of them in worker processes; results in the order of the files."""
    modules, paths = [file.module for file in files], [file.path for file in files]
    if len(files) < MIN_FILES_FOR_A_POOL:
        yield from map(documented_objects, modules, paths)
        return
    # A forked child of a process with threads (torch's) may hang. Syntax trees have no reference
    # cycles, and searching them for cycles would take a third of the time.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(mp_context=context, initializer=gc.disable) as pool:
        yield from pool.map(documented_objects, modules, paths, chunksize=CHUNK_SIZE)


def _distinct(docs: pd.DataFrame) -> pd.DataFrame:
    """Sort, which removes the file system's order, and drop re-exports, aliases, boilerplate."""
    docs = docs.sort_values(["library", "name"], kind="stable").drop_duplicates("name")
    docs = docs.drop_duplicates(["summary", "body"])
    repeats = docs.groupby("summary")["summary"].transform("size")
    return docs[repeats <= MAX_REPEATS].reset_index(drop=True)
