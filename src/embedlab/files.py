"""Atomic writing of files and folders: readers see the old content or the new one."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedlab.errors import InputError


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
        for path in (fresh, *fresh.rglob("*")):
            _flush(path)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    _flush(target.parent)


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
