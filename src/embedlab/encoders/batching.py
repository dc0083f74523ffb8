"""Batches of texts of like length, each in a shape that its length alone decides."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

TOKENIZED_AT_ONCE = 1024


def padded_length(n_tokens: int) -> int:
    """The length that a text is padded to: the next multiple of 16, 32 or 128 as texts grow."""
    step = 16 if n_tokens <= 128 else 32 if n_tokens <= 512 else 128
    return -(-n_tokens // step) * step


def fixed_shape_batches(
    texts: Sequence[str],
    tokenize: Callable[[Sequence[str]], list[list[int]]],
    tokens_per_batch: int,
    max_length: int,
) -> Iterator[tuple[list[int], list[list[int]], int]]:
    """Group texts by padded length L <= max_length, in batches of `tokens_per_batch // L` rows.

    The last batch of a length is filled up by repeating a row. So a text is always computed in the
    same shape, whatever it is encoded with, and floating-point sums run in the same order: its
    vector has the same bits in any collection, after any restart.

    Yields:
        The positions (b,) of the texts, the token ids of the batch's rows (at least b of them,
        the rest being filling), and L.
    """
    waiting: dict[int, list[tuple[int, list[int]]]] = defaultdict(list)
    for position, tokens in _tokenized(texts, tokenize):
        length = min(padded_length(len(tokens)), max_length)
        waiting[length].append((position, tokens))
        if len(waiting[length]) == _rows(length, tokens_per_batch):
            yield _batch(waiting.pop(length), length, tokens_per_batch)
    for length, rows in waiting.items():
        yield _batch(rows, length, tokens_per_batch)


def pad(rows: Sequence[Sequence[int]], length: int, filler: int) -> tuple[np.ndarray, np.ndarray]:
    """Pad rows of token ids on the right.

    Returns:
        Token ids and attention mask, each int64 (b, length).
    """
    ids = np.full((len(rows), length), filler, dtype=np.int64)
    sizes = np.array([len(row) for row in rows])
    mask = np.arange(length) < sizes[:, None]
    ids[mask] = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
    return ids, mask.astype(np.int64)


def _tokenized(
    texts: Sequence[str], tokenize: Callable[[Sequence[str]], list[list[int]]]
) -> Iterable[tuple[int, list[int]]]:
    for start in range(0, len(texts), TOKENIZED_AT_ONCE):
        yield from enumerate(tokenize(texts[start : start + TOKENIZED_AT_ONCE]), start)


def _rows(length: int, tokens_per_batch: int) -> int:
    return max(1, tokens_per_batch // length)


def _batch(
    rows: list[tuple[int, list[int]]], length: int, tokens_per_batch: int
) -> tuple[list[int], list[list[int]], int]:
    positions, tokens = zip(*rows, strict=True)
    filling = [tokens[0]] * (_rows(length, tokens_per_batch) - len(rows))
    return list(positions), [*tokens, *filling], length
