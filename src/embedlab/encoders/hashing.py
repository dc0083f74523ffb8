"""A small deterministic encoder without weights, whose vectors are the same on every machine."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer

from embedlab.encoders.parameters import HashingParameters

ROWS_PER_BATCH = 256


class HashingEncoder:
    """Signed feature hashing (Weinberger et al. 2009) of character n-grams, L2-normalised."""

    def __init__(self, parameters: HashingParameters):
        self.vectorizer = HashingVectorizer(
            n_features=parameters.dimension,
            analyzer="char_wb",
            ngram_range=(2, 4),
            dtype=np.float32,
        )

    def encode(self, texts: Iterable[str]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield the indices of b texts and their vectors, float32 `(b, d)`, batch by batch."""
        remaining, start = iter(texts), 0
        while block := list(islice(remaining, ROWS_PER_BATCH)):
            rows = self.vectorizer.transform(block)
            yield list(range(start, start + len(block))), rows.toarray()
            start += len(block)
