"""BM25: search by terms."""

import logging
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import bm25s
import numpy as np
import pandas as pd
import Stemmer
import torch
from pydantic import Field, field_validator
from torch import Tensor
from tqdm import tqdm

from embedlab.errors import InputError
from embedlab.parameters import Parameters
from embedlab.search.exact import make_run, stable_top_k
from embedlab.text_table import Ids

logger = logging.getLogger(__name__)

# Letters and vowel signs of Thai, Lao, Burmese, Khmer, Japanese and Chinese.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]+"
)

# The library logs its debug messages by default.
logging.getLogger("bm25s").setLevel(logging.WARNING)

Stopwords = Literal[
    "en", "en_plus", "da", "de", "es", "fr", "it", "ko", "nl", "no", "pt", "ru", "sv", "tr", "zh"
]

# Scores held at a time: 64 MiB.
BLOCK_SIZE = 2**24


class Bm25Parameters(Parameters):
    """How texts are split into terms, and how terms are weighted.

    Attributes:
        method: variant of the formula (Kamphuis et al. 2020).
        k1: saturation of the term frequency; with 0, only presence counts.
        b: strength of the length normalisation, from 0 to 1.
        stemmer: language of the Snowball stemmer; null for none.
        stopwords: language whose stop words are removed; null for none.
    """

    method: Literal["lucene", "robertson", "atire"] = "lucene"
    k1: float = Field(1.2, ge=0)
    b: float = Field(0.75, ge=0, le=1)
    stemmer: str | None = "english"
    stopwords: Stopwords | None = "en"

    @field_validator("stemmer")
    @classmethod
    def _stemmer_exists(cls, name: str | None) -> str | None:
        if name is not None and name not in Stemmer.algorithms():
            raise ValueError(f"no such stemmer; there are {', '.join(Stemmer.algorithms())}")
        return name


def bm25_search(
    corpus_texts: Sequence[str],
    corpus_ids: Ids,
    query_texts: Sequence[str],
    query_ids: Ids,
    parameters: Bm25Parameters,
    top_k: int,
) -> pd.DataFrame:
    r"""Find the documents with the greatest BM25 scores that have a term of the query.

    In Lucene's variant, with $f$ the count of term $t$ in document $D$ and $n_t$ the number of
    documents, of $N$, that contain it, the score is

    $$\sum_{t \in Q} \ln\Big(1 + \frac{N - n_t + 0.5}{n_t + 0.5}\Big)
      \frac{f}{f + k_1 (1 - b + b |D| / \overline{|D|})}$$

    Ties are ordered by position in the corpus.

    Returns:
        A run: query_id, corpus_id, score; at most `top_k` rows a query, in descending order.

    Raises:
        InputError: if no document has any term.

    References:
        Robertson & Zaragoza 2009, The Probabilistic Relevance Framework: BM25 and Beyond;
        Kamphuis et al. 2020, Which BM25 Do You Mean?; Lù 2024 (bm25s), arXiv 2407.03618.

    Example:
        >>> corpus, ids = ["a red fish", "a blue bird"], as_ids(["d0", "d1"])
        >>> queries = ["birds"], as_ids(["q"])
        >>> bm25_search(corpus, ids, *queries, Bm25Parameters(), 2)["corpus_id"].tolist()
        ['d1']
    """
    index, queries = bm25_index(corpus_texts, parameters), bm25_terms(query_texts, parameters)
    step = max(1, BLOCK_SIZE // len(corpus_texts))
    best = [
        stable_top_k(_scores(index, queries[start : start + step]), top_k)
        for start in tqdm(range(0, len(queries), step), desc="BM25 search", delay=2, leave=False)
    ]
    scores, positions = (torch.cat(parts) for parts in zip(*best, strict=True))
    _warn_of_misses(scores)
    run = make_run(query_ids, corpus_ids, scores.numpy(), positions.numpy())
    return run[run["score"] > 0].reset_index(drop=True)


def bm25_index(texts: Sequence[str], parameters: Bm25Parameters) -> bm25s.BM25:
    """Index texts by their terms.

    Raises:
        InputError: if no text has any term.
    """
    documents = bm25_terms(texts, parameters)
    if not any(documents):
        raise InputError("BM25: no document has a term left; check the stop words and the texts")
    index = bm25s.BM25(method=parameters.method, k1=parameters.k1, b=parameters.b)
    # The library shows a progress bar from the start: ask for it only where indexing takes long.
    index.index(documents, show_progress=len(documents) > 100_000)
    return index


def bm25_terms(texts: Sequence[str], parameters: Bm25Parameters) -> list[list[str]]:
    """Split texts into terms: lower-case words of two letters or more, without stop words.

    In scripts that write no blanks between words, the terms are all pairs of adjacent letters.
    """
    terms: list[list[str]] = bm25s.tokenize(
        [
            UNSPACED.sub(_pairs, text)
            for text in tqdm(texts, desc="BM25 terms", delay=2, leave=False)
        ],
        stopwords=parameters.stopwords,
        stemmer=Stemmer.Stemmer(parameters.stemmer) if parameters.stemmer else None,
        return_ids=False,
        show_progress=False,
    )
    return terms


def _pairs(letters: re.Match[str]) -> str:
    """The pairs of adjacent letters as words; of vowel signs, which are no letters, none."""
    spelt = [letter for letter in letters[0] if letter.isalnum()]
    return f" {' '.join(map(''.join, pairwise(spelt)))} "


def _warn_of_misses(scores: Tensor) -> None:
    """Warn of queries whose greatest scores `(q, k)` are all 0."""
    if num_missed := int((scores <= 0).all(dim=1).sum()):
        logger.warning(
            "BM25: %d of %d queries have no term in common with any document, so they find nothing "
            "(terms are words between blanks, after the stemmer and without the stop words)",
            *(num_missed, len(scores)),
        )


def _scores(index: bm25s.BM25, queries: Sequence[list[str]]) -> Tensor:
    """The scores `(q, n)` of all documents; a term that no document has adds nothing."""
    scores = [index.get_scores_from_ids(index.get_tokens_ids(terms)) for terms in queries]
    return torch.from_numpy(np.stack(scores))
