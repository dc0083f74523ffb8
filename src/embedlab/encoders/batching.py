"""Batches of texts of similar length, in shapes that depend on each text's length alone."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, count, islice

import numpy as np

TOKENIZED_AT_ONCE = 1024

TokenIds = list[int]
Tokenize = Callable[[Sequence[str]], list[TokenIds]]


def padded_length(num_tokens: int) -> int:
    """The length to which a text is padded: a multiple of 16, 32 or 128, as texts grow longer.

    Example:
        >>> [padded_length(num_tokens) for num_tokens in (0, 1, 100, 200, 600)]
        [16, 16, 112, 224, 640]
    """
    step = 16 if num_tokens <= 128 else 32 if num_tokens <= 512 else 128
    return max(1, -(-num_tokens // step)) * step


def fixed_shape_batches(
    texts: Iterable[str], tokenize: Tokenize, tokens_per_batch: int, max_length: int
) -> Iterator[tuple[list[int], list[TokenIds], int]]:
    """Group texts by padded length L <= max_length, in batches of `tokens_per_batch // L` rows.

    The last batch of each length is filled up by repeating a row. A text is thus always computed in
    the same shape, and floating-point sums run in the same order: its vector has the same bits
    whichever texts are encoded with it.

    Yields:
        The indices of b texts, the token ids of the batch's rows (those of the b texts, then the
        repeated ones), and L.

    Example:
        >>> batches = fixed_shape_batches(["hi", "you"], lambda texts: [[7]] * len(texts), 48, 64)
        >>> list(batches)
        [([0, 1], [[7], [7], [7]], 16)]
    """
    waiting: dict[int, list[tuple[int, TokenIds]]] = defaultdict(list)
    remaining, numbers = iter(texts), count()
    while block := list(islice(remaining, TOKENIZED_AT_ONCE)):
        # Tokens first: `zip` takes a number only where there are tokens.
        for token_ids, index in zip(tokenize(block), numbers, strict=False):
            length = min(padded_length(len(token_ids)), max_length)
            waiting[length].append((index, token_ids))
            if len(waiting[length]) == _num_rows(length, tokens_per_batch):
                yield _batch(waiting.pop(length), length, tokens_per_batch)
    for length, rows in waiting.items():
        yield _batch(rows, length, tokens_per_batch)


def pad(rows: Sequence[TokenIds], length: int, filler: int) -> tuple[np.ndarray, np.ndarray]:
    """Pad b rows of token ids on the right: ids and attention mask, int64 `(b, length)` each.

    Example:
        >>> pad([[5, 6], [7]], 3, filler=0)[0].tolist()
        [[5, 6, 0], [7, 0, 0]]
    """
    ids = np.full((len(rows), length), filler, dtype=np.int64)
    mask = np.arange(length) < np.array([[len(row)] for row in rows])
    ids[mask] = list(chain.from_iterable(rows))
    return ids, mask.astype(np.int64)


def _num_rows(length: int, tokens_per_batch: int) -> int:
    return max(1, tokens_per_batch // length)


def _batch(
    rows: list[tuple[int, TokenIds]], length: int, tokens_per_batch: int
) -> tuple[list[int], list[TokenIds], int]:
    indices, token_ids = zip(*rows, strict=True)
    filling = [token_ids[0]] * (_num_rows(length, tokens_per_batch) - len(rows))
    return list(indices), [*token_ids, *filling], length
