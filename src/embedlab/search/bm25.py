"""BM25: search by terms, in a corpus that is read once as a stream."""

import logging
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import IO, Any, Literal, NamedTuple

import bm25s
import numpy as np
import pandas as pd
import Stemmer
import torch
from pydantic import Field, field_validator
from scipy import sparse
from torch import Tensor
from tqdm import tqdm

from embedlab.errors import InputError
from embedlab.parameters import Parameters
from embedlab.search.exact import Best, make_run, merge_top_k
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

# The corpus is counted by segments of at most so many characters, and documents.
MAX_CHARACTERS, MAX_DOCUMENTS = 2**23, 50_000

# Queries scored at a time: with the largest segment, 25 MiB of scores.
QUERY_BLOCK = 128

PROGRESS: dict[str, Any] = {"delay": 2, "leave": False}


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
    corpus_texts: Iterable[str],
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

    Ties are ordered by position in the corpus. The memory does not grow with the corpus: what is
    counted of its terms lies in a temporary file.

    Returns:
        A run: query_id, corpus_id, score; at most `top_k` rows a query, in descending order.

    Raises:
        InputError: if no document has any term.

    References:
        Robertson & Zaragoza 2009, The Probabilistic Relevance Framework: BM25 and Beyond;
        Kamphuis et al. 2020, Which BM25 Do You Mean?; Lù 2024 (bm25s), arXiv 2407.03618.

    Example:
        >>> from embedlab.text_table import as_ids
        >>> corpus, ids = ["a red fish", "a blue bird"], as_ids(["d0", "d1"])
        >>> queries = ["birds"], as_ids(["q"])
        >>> bm25_search(corpus, ids, *queries, Bm25Parameters(), 2)["corpus_id"].tolist()
        ['d1']
    """
    best = bm25_top_k(corpus_texts, query_texts, parameters, top_k)
    _warn_of_misses(best.scores)
    run = make_run(query_ids, corpus_ids, best.scores.numpy(), best.columns.numpy())
    return run[run["score"] > 0].reset_index(drop=True)


def bm25_top_k(
    texts: Iterable[str], queries: Sequence[str], parameters: Bm25Parameters, k: int
) -> Best:
    """Find the k of n texts with the greatest scores for each query; ties are ordered by position.

    Returns:
        Scores, which are 0 for texts without a term of the query, and positions, both
        `(q, min(k, n))`.

    Raises:
        InputError: if no text has any term.
    """
    terms = _tokenise(queries, parameters)
    matrix = _query_matrix(terms)
    best: list[Best | None] = [None] * -(-len(queries) // QUERY_BLOCK)
    with tempfile.TemporaryFile() as file:
        corpus = _write_counts(texts, terms.vocab, parameters, file)
        first = 0
        segments = tqdm(_read_counts(file, corpus), "BM25 search", corpus.num_segments, **PROGRESS)
        for counts, lengths in segments:
            weights = _weights(counts, lengths, corpus, parameters)
            positions = torch.arange(first, first + len(lengths))
            for i in range(len(best)):
                block = matrix[i * QUERY_BLOCK : (i + 1) * QUERY_BLOCK]
                scores = torch.from_numpy((block @ weights).toarray())
                best[i] = merge_top_k(best[i], scores, positions, k)
            first += len(lengths)
    return Best(*map(torch.cat, zip(*filter(None, best), strict=True)))


class _Corpus(NamedTuple):
    """What the weights of terms depend on in the whole corpus, which is cut into segments."""

    num_segments: int
    num_documents: int
    mean_length: float
    num_having: np.ndarray  # of documents that have each of the queries' terms, (t,)


def _write_counts(
    texts: Iterable[str], vocabulary: Mapping[str, int], parameters: Bm25Parameters, file: IO[bytes]
) -> _Corpus:
    """Write how often each segment's documents have each term of the queries, and their lengths."""
    having = np.zeros(len(vocabulary), dtype=np.int64)
    num_segments = num_documents = length = 0
    for segment in _segments(tqdm(texts, "BM25 terms", **PROGRESS)):
        counts, lengths = _count_terms(segment, vocabulary, parameters)
        for array in (counts.data, counts.indices, counts.indptr, lengths):
            np.save(file, array)
        having += np.diff(counts.indptr)
        num_segments, num_documents = num_segments + 1, num_documents + len(lengths)
        length += int(lengths.sum())
    if not length:
        raise InputError("BM25: no document has a term left; check the stop words and the texts")
    return _Corpus(num_segments, num_documents, length / num_documents, having)


def _read_counts(file: IO[bytes], corpus: _Corpus) -> Iterator[tuple[sparse.csr_array, np.ndarray]]:
    """Read the counts `(t, m)` and the lengths `(m,)` of each segment of m documents."""
    file.seek(0)
    for _ in range(corpus.num_segments):
        data, indices, indptr, lengths = (np.load(file) for _ in range(4))
        shape = len(corpus.num_having), len(lengths)
        yield sparse.csr_array((data, indices, indptr), shape), lengths


def _segments(texts: Iterable[str]) -> Iterator[list[str]]:
    """Cut the texts into lists of at most so many characters (or one text) and documents."""
    segment: list[str] = []
    size = 0
    for text in texts:
        if segment and (size + len(text) > MAX_CHARACTERS or len(segment) == MAX_DOCUMENTS):
            yield segment
            segment, size = [], 0
        segment.append(text)
        size += len(text)
    if segment:
        yield segment


def _count_terms(
    texts: Sequence[str], vocabulary: Mapping[str, int], parameters: Bm25Parameters
) -> tuple[sparse.csr_array, np.ndarray]:
    """Count each of t terms in each of m texts, `(t, m)`, and all terms of each text, `(m,)`."""
    found = _tokenise(texts, parameters)
    lengths = np.fromiter(map(len, found.ids), np.int32, len(texts))
    numbers = np.full(len(found.vocab), -1)
    for term in vocabulary.keys() & found.vocab.keys():
        numbers[found.vocab[term]] = vocabulary[term]
    terms = numbers[np.fromiter(chain.from_iterable(found.ids), np.int32, lengths.sum())]
    documents = np.repeat(np.arange(len(texts)), lengths)
    known = terms >= 0
    places = terms[known], documents[known]
    ones = np.ones(len(places[0]), dtype=np.float32)
    # Equal places are added up.
    return sparse.coo_array((ones, places), (len(vocabulary), len(texts))).tocsr(), lengths


def _weights(
    counts: sparse.csr_array, lengths: np.ndarray, corpus: _Corpus, parameters: Bm25Parameters
) -> sparse.csr_array:
    """What each of t terms adds to the score of each of m documents, `(t, m)`, float32."""
    k1, b = parameters.k1, parameters.b
    frequencies, relative = counts.data, b * lengths[counts.indices] / corpus.mean_length
    factor = k1 + 1 if parameters.method == "atire" else 1
    saturated = frequencies * factor / (k1 * (1 - b + relative) + frequencies)
    rarity = np.repeat(_rarity(corpus, parameters.method), np.diff(counts.indptr))
    weights = (rarity * saturated).astype(np.float32)
    return sparse.csr_array((weights, counts.indices, counts.indptr), counts.shape)


def _rarity(corpus: _Corpus, method: str) -> np.ndarray:
    """The inverse document frequency of each term, `(t,)`, float32."""
    num_documents, num_having = corpus.num_documents, np.maximum(corpus.num_having, 1)
    odds = (num_documents - num_having + 0.5) / (num_having + 0.5)
    ratio = {
        "lucene": 1 + odds,
        "robertson": np.maximum(odds, 1),
        "atire": num_documents / num_having,
    }
    rarity: np.ndarray = np.log(ratio[method]).astype(np.float32)
    return rarity


def _query_matrix(queries: Any) -> sparse.csr_array:
    """A 1 for each term of each query, `(q, t)`; scores add up in the order of the terms."""
    indptr = np.cumsum([0, *map(len, queries.ids)])
    indices = np.fromiter(chain.from_iterable(queries.ids), np.int32, indptr[-1])
    ones = np.ones(len(indices), dtype=np.float32)
    return sparse.csr_array((ones, indices, indptr), (len(queries.ids), len(queries.vocab)))


def _tokenise(texts: Sequence[str], parameters: Bm25Parameters) -> Any:
    """Split texts into terms: lower-case words of two letters or more, without stop words.

    In scripts that write no blanks between words, the terms are all pairs of adjacent letters.

    Returns:
        `vocab`, the number of each term, and `ids`, the numbers of each text.
    """
    return bm25s.tokenize(
        [UNSPACED.sub(_pairs, text) for text in texts],
        stopwords=parameters.stopwords,
        stemmer=Stemmer.Stemmer(parameters.stemmer) if parameters.stemmer else None,
        show_progress=False,
    )


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
