"""Where shards are: in a folder of a file system, or in a bucket of an object store."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import fsspec
import numpy as np

from embedlab.encoders.shards import SUFFIX, Shard, damaged
from embedlab.errors import InputError
from embedlab.files import replacing

SECONDS_PER_DAY = 86400.0
# Object stores in which an object appears whole or not at all, and the extra that reaches each.
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
# Parts of shards that are fetched at once, some MB each.
FETCHED_AT_ONCE = 16

# A file's name, its first byte and the one after its last.
Part = tuple[str, int, int]
Rows = tuple[Shard, np.ndarray]


class ShardFolder(Protocol):
    """Files that are published whole, never change, and are read in parts."""

    def names(self) -> set[str]:
        """The names of the shards that are there now."""

    def read(self, parts: Sequence[Part]) -> list[bytes]:
        """The bytes of each part, fewer where the file ends."""

    def vectors(self, wanted: Sequence[Rows]) -> Iterator[np.ndarray]:
        """Of each shard, the vectors of these rows `(b,)`, float32 `(b, d)`."""

    def publish(self, name: str, content: bytes) -> None:
        """Let a file appear, whole."""

    def has(self, name: str) -> bool:
        """Whether a file is there."""

    def remove_leftovers(self) -> None:
        """Delete incomplete files of killed runs."""


def shard_folder(root: str | Path, name: str) -> ShardFolder:
    """The folder `name` in a folder, or under a URL."""
    if "://" in str(root):
        return ObjectFolder(f"{str(root).rstrip('/')}/{name}")
    return LocalFolder(Path(root).absolute() / name)


class LocalFolder:
    """A folder, in which files are written under a hidden name, flushed and renamed."""

    def __init__(self, path: Path):
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def names(self) -> set[str]:
        """As in `ShardFolder`."""
        with suppress(FileNotFoundError), os.scandir(self.path) as entries:
            return {entry.name for entry in entries if _is_shard(entry.name)}
        return set()

    def read(self, parts: Sequence[Part]) -> list[bytes]:
        """As in `ShardFolder`."""
        return [self._read(*part) for part in parts]

    def vectors(self, wanted: Sequence[Rows]) -> Iterator[np.ndarray]:
        """As in `ShardFolder`; the shards are mapped into memory."""
        for shard, rows in wanted:
            path, shape = self.path / shard.name, (shard.length, shard.dimension)
            try:
                yield np.memmap(path, np.float32, "r", shard.vectors_at, shape)[rows]
            except (OSError, ValueError) as error:
                raise damaged(str(path), str(error)) from error

    def remove_leftovers(self) -> None:
        """As in `ShardFolder`; writing a shard takes less than a day."""
        for path in self.path.glob(".*"):
            with suppress(FileNotFoundError):  # another process has just renamed it
                if time.time() - path.stat().st_mtime > SECONDS_PER_DAY:
                    path.unlink()

    def publish(self, name: str, content: bytes) -> None:
        """As in `ShardFolder`."""
        with replacing(self.path / name) as path:
            path.write_bytes(content)

    def has(self, name: str) -> bool:
        """As in `ShardFolder`."""
        return (self.path / name).is_file()

    def _read(self, name: str, start: int, stop: int) -> bytes:
        try:
            descriptor = os.open(f"{self.path}/{name}", os.O_RDONLY)
            try:
                return os.pread(descriptor, stop - start, start)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise damaged(f"{self.path}/{name}", str(error)) from error


class ObjectFolder:
    """A prefix of an object store's bucket; a shard is one object, which a single request puts."""

    def __init__(self, url: str):
        self.url = url

    def __str__(self) -> str:
        return self.url

    def names(self) -> set[str]:
        """As in `ShardFolder`."""
        with self._told_in_one_line():
            found = self._system.find(self.url, maxdepth=1)
        return set(filter(_is_shard, (path.rpartition("/")[2] for path in found)))

    def read(self, parts: Sequence[Part]) -> list[bytes]:
        """As in `ShardFolder`; the parts are fetched at the same time."""
        names, starts, stops = zip(*parts, strict=True)
        paths = [f"{self.url}/{name}" for name in names]
        with self._told_in_one_line():
            found: list[bytes] = self._system.cat_ranges(paths, starts, stops, on_error="raise")
        return found

    def vectors(self, wanted: Sequence[Rows]) -> Iterator[np.ndarray]:
        """As in `ShardFolder`; of each shard, everything between its first and last row comes."""
        for start in range(0, len(wanted), FETCHED_AT_ONCE):
            some = wanted[start : start + FETCHED_AT_ONCE]
            spans = [(rows.min(), rows.max() + 1) for _, rows in some]
            parts = [
                (shard.name, shard.vectors_from(first), shard.vectors_from(end))
                for (shard, _), (first, end) in zip(some, spans, strict=True)
            ]
            contents = self.read(parts)
            for (shard, rows), (first, end), content in zip(some, spans, contents, strict=True):
                if len(content) != (end - first) * shard.dimension * 4:
                    raise damaged(f"{self.url}/{shard.name}", "it ends in its vectors")
                span = np.frombuffer(content, np.float32).reshape(-1, shard.dimension)
                yield span[rows - first]

    def publish(self, name: str, content: bytes) -> None:
        """As in `ShardFolder`."""
        with self._told_in_one_line():
            self._system.pipe_file(f"{self.url}/{name}", content)

    def has(self, name: str) -> bool:
        """As in `ShardFolder`."""
        with self._told_in_one_line():
            return bool(self._system.exists(f"{self.url}/{name}"))

    def remove_leftovers(self) -> None:
        """As in `ShardFolder`; there are none."""

    @cached_property
    def _system(self) -> Any:
        protocol = self.url.partition("://")[0]
        if protocol not in EXTRAS:
            raise InputError(
                f"{self.url}: not a path, s3:// or gs://, which alone publish files whole"
            )
        try:
            return fsspec.filesystem(protocol, use_listings_cache=False)
        except ImportError as error:
            extra = f'pip install -c constraints.txt -e ".[{EXTRAS[protocol]}]"'
            raise InputError(f"{self.url}: {error}; {extra}") from error

    @contextmanager
    def _told_in_one_line(self) -> Iterator[None]:
        """Let errors, which are of many types, say what the store could not do."""
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                f"{self.url}: {reason}; check the bucket, its address and the credentials"
            ) from error


def _is_shard(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(".")
