"""SHA-256 of files and of values, with no file read twice in the same state."""

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

# By path, size and time of the last change. Writers and records fill it: a file whose digest they
# know is not read.
_known: dict[tuple[str, int, int], str] = {}


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits.

    Raises:
        OSError: if the file cannot be read.
    """
    state = (str(path), *file_state(path))
    if state not in _known:
        with path.open("rb") as file:
            _known[state] = hashlib.file_digest(file, "sha256").hexdigest()
    return _known[state]


def file_state(path: Path) -> tuple[int, int]:
    """The size of a file in bytes, and the time of its last change in nanoseconds."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def remember(path: Path, size: int, modified: int, digest: str) -> None:
    """Note the digest that a file has as long as its size and time of change are these."""
    _known[str(path), size, modified] = digest


def value_digest(value: Any) -> str:
    """SHA-256 of a JSON-ready value, whatever the order of its keys.

    Example:
        >>> value_digest({"a": 1, "b": 2}) == value_digest({"b": 2, "a": 1})
        True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@contextmanager
def hashed_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing; `file_digest` then knows its digest without reading it."""
    with path.open("wb") as file:
        writer = _HashingWriter(file)
        yield cast("BinaryIO", writer)
    remember(path, *file_state(path), writer.digest.hexdigest())


class _HashingWriter(io.RawIOBase):
    """A file for writing that hashes what is written."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self._file.write(data)
