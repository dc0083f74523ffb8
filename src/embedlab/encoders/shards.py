"""Shards: immutable safetensors files of keys and vectors, of which parts can be read."""

import json
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import save

from embedlab.encoders.key_index import KEY_BYTES
from embedlab.errors import InputError

SUFFIX = ".safetensors"
# The first bytes of a shard, which hold its header and more.
HEAD_BYTES = 1024
SIZE_BYTES = 8


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard whose header has been read.

    Attributes:
        length: the number m of its keys and vectors.
        keys_at: the first byte of its keys, uint8 `(m, 32)`.
        vectors_at: the first byte of its vectors, float32 `(m, d)`.
    """

    name: str
    length: int
    dimension: int
    keys_at: int
    vectors_at: int

    @property
    def keys_end(self) -> int:
        """The byte after its keys."""
        return self.keys_at + self.length * KEY_BYTES

    def vectors_from(self, row: int) -> int:
        """The first byte of the vector of a row."""
        return self.vectors_at + row * self.dimension * 4


def shard_bytes(keys: np.ndarray, vectors: np.ndarray) -> bytes:
    """The content of a shard of keys, uint8 `(m, 32)`, and vectors, float32 `(m, d)`."""
    return save({"keys": keys, "vectors": vectors})


def read_head(folder: str, name: str, head: bytes) -> Shard:
    """Read the header, which is JSON after its length, of a shard that starts with these bytes.

    Raises:
        InputError: if it is not that of a shard.
    """
    start = SIZE_BYTES + int.from_bytes(head[:SIZE_BYTES], "little")
    try:
        header = json.loads(head[SIZE_BYTES:start])
        keys, vectors = header["keys"], header["vectors"]
        (length, width), (rows, dimension) = keys["shape"], vectors["shape"]
        if (keys["dtype"], width, vectors["dtype"], rows) != ("U8", KEY_BYTES, "F32", length):
            raise ValueError(f"it holds {header}")
        offsets = keys["data_offsets"][0], vectors["data_offsets"][0]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise damaged(f"{folder}/{name}", f"header: {error}") from error
    return Shard(name, length, dimension, start + offsets[0], start + offsets[1])


def damaged(path: str, reason: str) -> InputError:
    """The error of a shard that cannot be read."""
    reason = " ".join(reason.split())
    return InputError(
        f"{path}: damaged shard ({reason}); delete it, its texts are then encoded again"
    )
