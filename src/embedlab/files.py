"""Atomic writing of files and folders: readers see the old content or the new one."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedlab.errors import InputError

# Called with the complete new content, and with the path that it takes next.
Witness = Callable[[Path, Path], None]
_witness: Witness | None = None


def set_witness(witness: Witness | None) -> None:
    """Choose what is called before each replacement, for instance to record it; None: nothing."""
    global _witness
    _witness = witness


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`, which is renamed to `target` on success.

    The content is flushed to the disk before the rename, so that a crash leaves the old file or the
    new one. After an exception the temporary file is deleted and `target` is unchanged.
    """
    _make_folder(target.parent)
    # Process ids are not unique if several machines or containers share a folder.
    temporary = target.with_name(f".{target.stem}.{uuid.uuid4().hex}{target.suffix}")
    try:
        yield temporary
        _flush(temporary)
        _tell_witness(temporary, target)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    _flush(target.parent)


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target`, which replaces `target` on success.

    A crash between the two renames leaves no folder, never a mixture of old and new files.
    """
    _make_folder(target.parent)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        fresh, old = Path(scratch) / "fresh", Path(scratch) / "old"
        fresh.mkdir()
        yield fresh
        _tell_witness(fresh, target)
        for path in (fresh, *fresh.rglob("*")):
            _flush(path)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    _flush(target.parent)


def disk_array(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
    """An array of zeros in a temporary file, for what may exceed the memory.

    The file lies in the folder that `TMPDIR` names, and goes with the array.

    Raises:
        InputError: if there is no room for it.
    """
    num_bytes = prod(np.atleast_1d(shape).tolist()) * np.dtype(dtype).itemsize
    if not num_bytes:  # an empty file cannot be mapped
        return np.empty(shape, dtype)
    folder = tempfile.gettempdir()
    # A map that is written to on a full disk ends the process.
    if num_bytes > shutil.disk_usage(folder).free:
        raise InputError(
            f"{folder}: no room for a file of {num_bytes} bytes; set TMPDIR to a folder with more"
        )
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def _tell_witness(fresh: Path, target: Path) -> None:
    """Call the witness, which may replace files itself without being called for them."""
    if (witness := _witness) is None:
        return
    set_witness(None)
    try:
        witness(fresh, target)
    finally:
        set_witness(witness)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(
            f"{error.filename}: is no folder, or a link to none; replace it by a folder"
        ) from error


def _flush(path: Path) -> None:
    """Force a file's content, or a folder's entries, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
