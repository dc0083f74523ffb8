"""Texts to vectors through the store: each distinct text is encoded once, ever."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

import numpy as np
import torch
from tqdm import tqdm

from embedlab.distributed.launch import spawn
from embedlab.encoders.hashing import HashingEncoder
from embedlab.encoders.parameters import (
    CausalLMParameters,
    ExecutionParameters,
    HashingParameters,
    SentenceTransformerParameters,
)
from embedlab.encoders.recipe import Recipe
from embedlab.encoders.store import VectorCache, Vectors, VectorStore, text_keys

logger = logging.getLogger(__name__)


class Encoder(Protocol):
    """Turns texts into vectors, batch by batch."""

    def encode(self, texts: Sequence[str]) -> Iterator[Vectors]:
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
    texts: Sequence[str], recipe: Recipe, store: VectorStore, execution: ExecutionParameters
) -> tuple[np.ndarray, EncodingReport]:
    """The vectors of n texts, float32 `(n, d)`; those that the store has not seen are encoded.

    Raises:
        InputError: if the model cannot be loaded or a shard is damaged.
    """
    cache = store.open(recipe.fingerprint, recipe.description)
    keys = text_keys(texts)
    distinct, first = np.unique(keys, return_index=True)
    # In the order of first appearance, so that a run can be followed.
    missing = np.sort(first[~cache.contains(distinct)])
    start = time.perf_counter()
    if len(missing):
        _encode_missing([texts[i] for i in missing], recipe, cache, execution)
        cache.refresh()
    seconds = time.perf_counter() - start
    return cache.read(keys), EncodingReport(len(distinct) - len(missing), len(missing), seconds)


def _encode_missing(
    texts: list[str], recipe: Recipe, cache: VectorCache, execution: ExecutionParameters
) -> None:
    if execution.engine == "ray":
        # Imported late: it needs a package of its own, and this module.
        from embedlab.encoders.ray_engine import encode_on_ray

        encode_on_ray([texts], len(texts), recipe, cache, execution)
        return
    processes = min(execution.processes or max(1, torch.cuda.device_count()), len(texts))
    logger.info(
        "Encoding %d texts with a %s encoder in %d process(es), in %s",
        *(len(texts), recipe.parameters.kind, processes, recipe.precision),
    )
    arguments = (processes, texts, recipe, cache, execution)
    if processes == 1:
        _encode_share(0, *arguments)
    else:  # each process writes its own shards: the store takes several writers
        spawn(_encode_share, arguments, processes)


def _encode_share(
    process: int,
    processes: int,
    texts: list[str],
    recipe: Recipe,
    cache: VectorCache,
    execution: ExecutionParameters,
) -> None:
    """Encode every `processes`-th text on this process's device."""
    share = texts[process::processes]
    gpus = torch.cuda.device_count()
    device = f"cuda:{process % gpus}" if gpus else "cpu"
    if processes > 1:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
    batches = load_encoder(recipe, device, execution.tokens_per_batch).encode(share)
    with tqdm(total=len(share), desc="encode", unit="text", position=process) as bar:
        for count in cache.write(text_keys(share), batches, execution.shard_size):
            bar.update(count)
