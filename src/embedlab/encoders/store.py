"""The content-addressed store of vectors: immutable shards, found by encoder and text."""

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

# A slow encoder must not hold its work back until a shard is full.
SECONDS_PER_SHARD = 20.0
SECONDS_PER_DAY = 86400.0
KEY_BYTES = 32

Vectors = tuple[Sequence[int], np.ndarray]


def text_keys(texts: Sequence[str]) -> np.ndarray:
    """SHA-256 of each text, (n,) of 32-byte strings."""
    digests = b"".join(hashlib.sha256(text.encode()).digest() for text in texts)
    return np.frombuffer(digests, dtype=f"S{KEY_BYTES}")


class VectorStore:
    """A folder of one sub-folder for each encoder fingerprint."""

    def __init__(self, root: Path):
        self.root = root

    def open(self, fingerprint: str, description: dict[str, Any]) -> "VectorCache":
        """Open the vectors of one encoder, and note for people which encoder that is."""
        folder = self.root / fingerprint[:32]
        _remove_leftovers(folder)
        note = folder / "encoder.json"
        if not note.exists():
            with replacing(note) as path:
                path.write_text(json.dumps(description, indent=2), encoding="utf-8")
        return VectorCache(folder)


class VectorCache:
    """The vectors of one encoder, by the SHA-256 of their text.

    Each shard is one safetensors file `keys` uint8 (m, 32) and `vectors` float32 (m, d), written
    under a hidden name, flushed and renamed: a reader sees whole shards only, several processes
    may write at once, and a crash loses at most the shard in flight. Shards never change.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.refresh()

    def refresh(self) -> None:
        """Read the keys of all shards, those of other processes too."""
        self.shards = sorted(self.folder.glob("[!.]*.safetensors"))
        keys = [_read(path, "keys").view(f"S{KEY_BYTES}").ravel() for path in self.shards]
        sizes = [len(shard_keys) for shard_keys in keys]
        all_keys = np.concatenate(keys) if keys else np.empty(0, dtype=f"S{KEY_BYTES}")
        order = np.argsort(all_keys, kind="stable")
        self._keys = all_keys[order]
        self._shard = np.repeat(np.arange(len(sizes)), sizes)[order]
        self._row = np.concatenate([np.arange(0), *map(np.arange, sizes)])[order]

    def contains(self, keys: np.ndarray) -> np.ndarray:
        """Which keys (n,) have a vector, bool (n,)."""
        return np.isin(keys, self._keys)

    def read(self, keys: np.ndarray) -> np.ndarray:
        """The vectors of keys (n,) that are all in the store, float32 (n, d)."""
        places = np.searchsorted(self._keys, keys)
        shards, rows = self._shard[places], self._row[places]
        vectors = np.empty((len(keys), self._dimension()), dtype=np.float32)
        order = np.argsort(shards, kind="stable")
        present, starts = np.unique(shards[order], return_index=True)
        for shard, wanted in zip(present, np.split(order, starts)[1:], strict=True):
            vectors[wanted] = _read(self.shards[shard], "vectors")[rows[wanted]]
        return vectors

    def write(self, keys: np.ndarray, batches: Iterable[Vectors], shard_size: int) -> Iterator[int]:
        """Store batches of (positions in `keys`, vectors (b, d)) as they come, shard by shard.

        Yields:
            The size of each batch, once it is taken in.
        """
        held: list[Vectors] = []
        last = time.monotonic()
        for batch in batches:
            held.append(batch)
            count = sum(len(positions) for positions, _ in held)
            if count >= shard_size or time.monotonic() - last > SECONDS_PER_SHARD:
                self._write_shard(keys, held)
                held, last = [], time.monotonic()
            yield len(batch[0])
        if held:
            self._write_shard(keys, held)

    def _write_shard(self, keys: np.ndarray, batches: list[Vectors]) -> None:
        positions = np.concatenate([np.asarray(positions) for positions, _ in batches])
        shard_keys = keys[positions].view(np.uint8).reshape(-1, KEY_BYTES)
        vectors = np.concatenate([vectors for _, vectors in batches])
        _check_finite(vectors)
        name = hashlib.sha256(shard_keys.tobytes()).hexdigest()[:32]
        with replacing(self.folder / f"{name}.safetensors") as path:
            save_file({"keys": shard_keys, "vectors": vectors}, path)

    def _dimension(self) -> int:
        return 0 if not self.shards else int(_read(self.shards[0], "vectors").shape[1])


def _read(path: Path, name: str) -> np.ndarray:
    """Read one array of a shard."""
    try:
        with safe_open(path, framework="numpy") as shard:
            array: np.ndarray = shard.get_tensor(name)
            return array
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: damaged shard ({error}); delete it, its texts are then encoded again"
        ) from error


def _remove_leftovers(folder: Path) -> None:
    """Delete what killed runs have left half-written; no shard takes a day to write."""
    for path in folder.glob(".*"):
        with suppress(FileNotFoundError):  # another process has just finished it
            if time.time() - path.stat().st_mtime > SECONDS_PER_DAY:
                path.unlink()


def _check_finite(vectors: np.ndarray) -> None:
    if not np.isfinite(vectors).all():
        raise InputError(
            "the encoder gave vectors that are not finite; try execution.precision: float32"
        )
