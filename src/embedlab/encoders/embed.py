"""Texts to vectors through the store: each distinct text is encoded once, ever."""

import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, compress, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, assert_never

import numpy as np
import torch
from tqdm import tqdm

from embedlab.distributed.launch import spawn
from embedlab.encoders.embeddings import ROWS_PER_BLOCK, VectorStream
from embedlab.encoders.hashing import HashingEncoder
from embedlab.encoders.key_index import KEY_BYTES, KEY_TYPE
from embedlab.encoders.parameters import (
    CausalLMParameters,
    ExecutionParameters,
    HashingParameters,
    SentenceTransformerParameters,
)
from embedlab.encoders.recipe import Recipe
from embedlab.encoders.store import VectorCache, Vectors, VectorStore, text_keys
from embedlab.errors import InputError
from embedlab.files import disk_array
from embedlab.text_table import Texts, column_texts, open_table, write_rows

logger = logging.getLogger(__name__)


class Encoder(Protocol):
    """Turns a stream of texts into vectors, batch by batch."""

    def encode(self, texts: Iterable[str]) -> Iterator[Vectors]:
        """Yield the indices of b texts and their vectors, float32 `(b, d)`."""


@dataclass(frozen=True)
class EncodingReport:
    """What a call of `embed` did.

    Attributes:
        hits: number of distinct texts whose vectors the store had.
        misses: number of distinct texts that were encoded.
        seconds: time that encoding took, model loading included.
    """

    hits: int
    misses: int
    seconds: float


def load_encoder(recipe: Recipe, device: str, tokens_per_batch: int | None = None) -> Encoder:
    """Load the encoder that a recipe describes.

    Raises:
        InputError: if its files do not hold a loadable model.
    """
    if isinstance(recipe.parameters, HashingParameters):
        return HashingEncoder(recipe.parameters)
    # Imported late: a run whose vectors are all in the store need not load the libraries.
    from embedlab.encoders.sentence_transformer import SentenceTransformerEncoder
    from embedlab.encoders.transformer import CausalLMEncoder

    if isinstance(recipe.parameters, CausalLMParameters):
        return CausalLMEncoder(recipe, device, tokens_per_batch)
    if isinstance(recipe.parameters, SentenceTransformerParameters):
        return SentenceTransformerEncoder(recipe, device, tokens_per_batch)
    assert_never(recipe.parameters)


def embed(
    parts: Sequence[Sequence[str] | Texts],
    recipe: Recipe,
    store: VectorStore,
    execution: ExecutionParameters,
) -> tuple[VectorStream, EncodingReport]:
    """The vectors of n items, each of p texts; those that the store has not seen are encoded.

    Texts are read as a stream. Of each, 50 bytes or so are held, and its key in a temporary file.

    Args:
        parts: p columns of n texts.
        recipe: that of the encoder.
        store: where vectors are kept.
        execution: how encoding runs.

    Returns:
        The vectors `(n, p * d)`, those of an item's texts end to end, to be read from the store;
        and what was done.

    Raises:
        InputError: if the model cannot be loaded, a shard is damaged, or what processes write into
            the store is not found there.
    """
    cache = store.open(recipe.fingerprint, recipe.description)
    num_texts = sum(map(len, parts))
    keys = _keys(chain.from_iterable(parts), num_texts)
    num_distinct = len(np.unique(_prefixes(keys)))
    num_encoded, start = 0, time.perf_counter()
    # A second round is needed only where two texts have keys of the same beginning.
    while len(rows := _missing_rows(keys, cache)):
        is_missing = np.zeros(num_texts, dtype=bool)
        is_missing[rows] = True
        texts = compress(chain.from_iterable(parts), is_missing)
        missing = _rows_on_disk(keys, rows)
        _encode(texts, missing, recipe, cache, execution)
        cache.refresh()
        _check_stored(missing, cache)
        num_encoded += len(rows)
    report = EncodingReport(num_distinct - num_encoded, num_encoded, time.perf_counter() - start)
    return _stored_vectors(cache, keys.reshape(len(parts), -1)), report


def _stored_vectors(cache: VectorCache, keys: np.ndarray) -> VectorStream:
    """The vectors of n items, given the keys `(p, n)` of their texts, as they are in the store."""

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, keys.shape[1], ROWS_PER_BLOCK):
            block = keys[:, start : start + ROWS_PER_BLOCK]
            yield np.hstack([cache.read(part_keys) for part_keys in block])

    dimension = cache.read(keys[0, :0]).shape[1]
    return VectorStream((keys.shape[1], len(keys) * dimension), blocks)


def _keys(texts: Iterable[str], num_texts: int) -> np.ndarray:
    """The keys of texts `(n,)`, in a temporary file."""
    keys = disk_array(num_texts, KEY_TYPE)
    remaining = iter(texts)
    for start in range(0, num_texts, ROWS_PER_BLOCK):
        block = text_keys(list(islice(remaining, ROWS_PER_BLOCK)))
        keys[start : start + len(block)] = block
    return keys


def _prefixes(keys: np.ndarray) -> np.ndarray:
    """The first 8 bytes of keys `(n,)`, uint64 `(n,)`: a view."""
    return keys.view(np.uint64).reshape(-1, KEY_BYTES // 8)[:, 0]


def _missing_rows(keys: np.ndarray, cache: VectorCache) -> np.ndarray:
    """The first rows of the keys `(n,)` that the cache lacks, in ascending order.

    Of different keys with the same first 8 bytes, that of one.
    """
    starts = range(0, len(keys), ROWS_PER_BLOCK)
    lacking = [
        start + np.flatnonzero(~cache.contains(keys[start : start + ROWS_PER_BLOCK]))
        for start in starts
    ]
    rows = np.concatenate([np.empty(0, np.int64), *lacking])
    _, first = np.unique(_prefixes(keys)[rows], return_index=True)
    return rows[np.sort(first)]


def _check_stored(keys: np.ndarray, cache: VectorCache) -> None:
    """Raise an InputError if keys `(n,)` whose texts have been encoded are not in the store."""
    if count := len(_missing_rows(keys, cache)):
        raise InputError(
            f"{cache.folder}: {count} of {len(keys)} vectors that were written are not there; let "
            "all processes use this folder, and delete nothing from it meanwhile"
        )


def _rows_on_disk(keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
    chosen = disk_array(len(rows), keys.dtype)
    for start in range(0, len(rows), ROWS_PER_BLOCK):
        block = slice(start, start + ROWS_PER_BLOCK)
        chosen[block] = keys[rows[block]]
    return chosen


def _encode(
    texts: Iterable[str],
    keys: np.ndarray,
    recipe: Recipe,
    cache: VectorCache,
    execution: ExecutionParameters,
) -> None:
    """Encode the texts of keys `(n,)` into the store."""
    if execution.engine == "ray":
        # Imported late: it needs a package of its own, and this module.
        from embedlab.encoders.ray_engine import encode_on_ray

        encode_on_ray(texts, len(keys), recipe, cache, execution)
        return
    processes = min(execution.processes or max(1, torch.cuda.device_count()), len(keys))
    logger.info(
        "Encoding %d texts with a %s encoder in %d process(es), in %s",
        *(len(keys), recipe.parameters.kind, processes, recipe.precision),
    )
    if processes == 1:
        _encode_texts(texts, keys, recipe, cache, execution)
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "texts.arrow"
        write_rows(((text,) for text in texts), ["text"], path)
        # Each process writes its own shards: the store takes several writers.
        spawn(_encode_share, (processes, path, recipe, cache, execution), processes)


def _encode_share(
    process: int,
    processes: int,
    path: Path,
    recipe: Recipe,
    cache: VectorCache,
    execution: ExecutionParameters,
) -> None:
    """Encode every `processes`-th text of a file on this process's device."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
    texts = column_texts(open_table(path), "text")
    share = partial(islice, texts, process, None, processes)
    keys = _keys(share(), len(range(process, len(texts), processes)))
    _encode_texts(share(), keys, recipe, cache, execution, process)


def _encode_texts(
    texts: Iterable[str],
    keys: np.ndarray,
    recipe: Recipe,
    cache: VectorCache,
    execution: ExecutionParameters,
    process: int = 0,
) -> None:
    gpus = torch.cuda.device_count()
    device = f"cuda:{process % gpus}" if gpus else "cpu"
    batches = load_encoder(recipe, device, execution.tokens_per_batch).encode(texts)
    with tqdm(total=len(keys), desc="encode", unit="text", position=process) as bar:
        for count in cache.write(keys, batches, execution.shard_size):
            bar.update(count)
