"""The content-addressed store of vectors: immutable shards, keyed by encoder and text."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embedlab.encoders.key_index import ABSENT, KEY_BYTES, KEY_TYPE, KeyIndex
from embedlab.encoders.shard_folder import ShardFolder, shard_folder
from embedlab.encoders.shards import HEAD_BYTES, SUFFIX, Shard, damaged, read_head, shard_bytes
from embedlab.errors import InputError

# A crash loses at most this much work of a slow encoder.
SECONDS_PER_SHARD = 20.0
# Shards whose keys are read together.
READ_AT_ONCE = 256
NOTE = "encoder.json"

Vectors = tuple[Sequence[int], np.ndarray]


def text_keys(texts: Sequence[str]) -> np.ndarray:
    """SHA-256 of each text, `(n,)` of 32-byte strings.

    Example:
        >>> text_keys(["one", "two", "one"])[:2] == text_keys(["one", "one"])
        array([ True, False])
    """
    digests = b"".join(hashlib.sha256(text.encode()).digest() for text in texts)
    return np.frombuffer(digests, dtype=KEY_TYPE)


class VectorStore:
    """A folder, or the URL of one in an object store, with a sub-folder per encoder fingerprint."""

    def __init__(self, root: str | Path):
        self.root = root

    def open(self, fingerprint: str, description: dict[str, Any]) -> "VectorCache":
        """Open the vectors of one encoder; the description is written beside them for readers.

        Raises:
            InputError: if a shard is damaged, or the object store cannot be reached.
        """
        folder = shard_folder(self.root, fingerprint[:32])
        folder.remove_leftovers()
        if not folder.has(NOTE):
            folder.publish(NOTE, json.dumps(description, indent=2).encode())
        cache = VectorCache(folder)
        cache.refresh()
        return cache


class VectorCache:
    """The vectors of one encoder, by the SHA-256 of their text.

    Each shard is a safetensors file of `keys`, uint8 `(m, 32)`, and `vectors`, float32 `(m, d)`. It
    appears whole and never changes: several processes may write at once, and a crash loses at most
    one shard. `contains` and `read` know the shards that the last `refresh` found, and cost no more
    than the keys that they are asked for. A copy in another process knows none.
    """

    def __init__(self, folder: ShardFolder):
        self.folder = folder
        self.shards: list[Shard] = []
        self._starts = np.zeros(1, dtype=np.int64)
        self._index = KeyIndex()

    def __reduce__(self) -> tuple[Any, ...]:
        return VectorCache, (self.folder,)

    def refresh(self) -> None:
        """Read the keys of new shards, including those that other processes have written.

        Raises:
            InputError: if a shard is damaged, or the object store cannot be reached.
        """
        new = sorted(self.folder.names() - {shard.name for shard in self.shards})
        for start in range(0, len(new), READ_AT_ONCE):
            shards, keys = self._read_keys(new[start : start + READ_AT_ONCE])
            self._index.add(keys)
            self.shards += shards
        self._starts = np.cumsum([0, *(shard.length for shard in self.shards)])

    def contains(self, keys: np.ndarray) -> np.ndarray:
        """Whether each key `(n,)` has a vector, bool `(n,)`."""
        found: np.ndarray = self._index.find(keys) != ABSENT
        return found

    def read(self, keys: np.ndarray) -> np.ndarray:
        """The vectors of keys `(n,)`, float32 `(n, d)`.

        Raises:
            InputError: if not all of them are stored, or a shard is damaged.
        """
        places = self._index.find(keys)
        if count := int((places == ABSENT).sum()):
            raise InputError(
                f"{self.folder}: lacks {count} of {len(keys)} vectors; run the pipeline again, and "
                "let all processes use this folder"
            )
        order = np.argsort(places, kind="stable")
        numbers = np.searchsorted(self._starts, places[order], "right") - 1
        present, firsts = np.unique(numbers, return_index=True)
        groups = np.split(order, firsts)[1:]
        wanted = [
            (self.shards[number], places[group] - self._starts[number])
            for number, group in zip(present, groups, strict=True)
        ]
        dimension = self.shards[0].dimension if self.shards else 0
        vectors = np.empty((len(keys), dimension), dtype=np.float32)
        for group, rows in zip(groups, self.folder.vectors(wanted), strict=True):
            vectors[group] = rows
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
        self.folder.publish(f"{name}{SUFFIX}", shard_bytes(shard_keys, vectors))

    def _read_keys(self, names: Sequence[str]) -> tuple[list[Shard], np.ndarray]:
        """Shards of these names, and the keys `(m,)` of all of them."""
        heads = self.folder.read([(name, 0, HEAD_BYTES) for name in names])
        shards = [
            read_head(str(self.folder), name, head) for name, head in zip(names, heads, strict=True)
        ]
        keys = self.folder.read([(shard.name, shard.keys_at, shard.keys_end) for shard in shards])
        for shard, content in zip(shards, keys, strict=True):
            if len(content) != shard.length * KEY_BYTES:
                raise damaged(f"{self.folder}/{shard.name}", "it ends in its keys")
        return shards, np.frombuffer(b"".join(keys), dtype=KEY_TYPE)
