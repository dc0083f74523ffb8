"""The content-addressed store of vectors: immutable shards, keyed by encoder and text."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from embedlab.errors import InputError
from embedlab.files import replacing

# A crash loses at most this much work of a slow encoder.
SECONDS_PER_SHARD = 20.0
SECONDS_PER_DAY = 86400.0
KEY_BYTES = 32

Vectors = tuple[Sequence[int], np.ndarray]


def text_keys(texts: Sequence[str]) -> np.ndarray:
    """SHA-256 of each text, `(n,)` of 32-byte strings.

    Example:
        >>> text_keys(["one", "two", "one"])[:2] == text_keys(["one", "one"])
        array([ True, False])
    """
    digests = b"".join(hashlib.sha256(text.encode()).digest() for text in texts)
    return np.frombuffer(digests, dtype=f"S{KEY_BYTES}")


class VectorStore:
    """A folder with a sub-folder per encoder fingerprint."""

    def __init__(self, root: Path):
        self.root = root

    def open(self, fingerprint: str, description: dict[str, Any]) -> "VectorCache":
        """Open the vectors of one encoder; the description is written beside them for readers."""
        folder = self.root / fingerprint[:32]
        _remove_leftovers(folder)
        note = folder / "encoder.json"
        if not note.exists():
            with replacing(note) as path:
                path.write_text(json.dumps(description, indent=2), encoding="utf-8")
        return VectorCache(folder)


class VectorCache:
    """The vectors of one encoder, by the SHA-256 of their text.

    Each shard is a safetensors file of `keys`, uint8 `(m, 32)`, and `vectors`, float32 `(m, d)`. It
    is written under a hidden name, flushed and renamed, and never changes: readers see complete
    shards only, several processes may write at once, and a crash loses at most one shard.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.refresh()

    def refresh(self) -> None:
        """Read the keys of all shards, including those that other processes have written."""
        self.shards = sorted(self.folder.glob("[!.]*.safetensors"))
        keys = [_read(path, "keys").view(f"S{KEY_BYTES}").ravel() for path in self.shards]
        sizes = [len(shard_keys) for shard_keys in keys]
        all_keys = np.concatenate([np.empty(0, dtype=f"S{KEY_BYTES}"), *keys])
        order = np.argsort(all_keys, kind="stable")
        self._keys = all_keys[order]
        self._shard = np.repeat(np.arange(len(sizes)), sizes)[order]
        self._row = np.concatenate([np.arange(0), *map(np.arange, sizes)])[order]

    def contains(self, keys: np.ndarray) -> np.ndarray:
        """Whether each key `(n,)` has a vector, bool `(n,)`."""
        return np.isin(keys, self._keys)

    def read(self, keys: np.ndarray) -> np.ndarray:
        """The vectors of keys `(n,)`, all of which must be stored, float32 `(n, d)`."""
        indices = np.searchsorted(self._keys, keys)
        shards, rows = self._shard[indices], self._row[indices]
        dimension = _read(self.shards[0], "vectors").shape[1] if self.shards else 0
        vectors = np.empty((len(keys), dimension), dtype=np.float32)
        order = np.argsort(shards, kind="stable")
        present, starts = np.unique(shards[order], return_index=True)
        for shard, wanted in zip(present, np.split(order, starts)[1:], strict=True):
            vectors[wanted] = _read(self.shards[shard], "vectors")[rows[wanted]]
        return vectors

    def write(self, keys: np.ndarray, batches: Iterable[Vectors], shard_size: int) -> Iterator[int]:
        """Store batches of (indices into `keys`, vectors `(b, d)`); yield the size of each."""
        held: list[Vectors] = []
        last = time.monotonic()
        for batch in batches:
            held.append(batch)
            count = sum(len(indices) for indices, _ in held)
            if count >= shard_size or time.monotonic() - last > SECONDS_PER_SHARD:
                self._write_shard(keys, held)
                held, last = [], time.monotonic()
            yield len(batch[0])
        if held:
            self._write_shard(keys, held)

    def _write_shard(self, keys: np.ndarray, batches: list[Vectors]) -> None:
        indices = np.concatenate([indices for indices, _ in batches])
        shard_keys = keys[indices].view(np.uint8).reshape(-1, KEY_BYTES)
        vectors = np.concatenate([vectors for _, vectors in batches])
        if not np.isfinite(vectors).all():
            raise InputError(
                "the encoder gave vectors that are not finite; try execution.precision: float32"
            )
        name = hashlib.sha256(shard_keys).hexdigest()[:32]
        with replacing(self.folder / f"{name}.safetensors") as path:
            save_file({"keys": shard_keys, "vectors": vectors}, path)


def _read(path: Path, name: str) -> np.ndarray:
    """One array of a shard."""
    try:
        with safe_open(path, framework="numpy") as shard:
            array: np.ndarray = shard.get_tensor(name)
            return array
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: damaged shard ({error}); delete it, its texts are then encoded again"
        ) from error


def _remove_leftovers(folder: Path) -> None:
    """Delete incomplete files of killed runs; writing a shard takes less than a day."""
    for path in folder.glob(".*"):
        with suppress(FileNotFoundError):  # another process has just renamed it
            if time.time() - path.stat().st_mtime > SECONDS_PER_DAY:
                path.unlink()
