"""Hard negatives: documents that are similar to a query, but not relevant to it."""

import logging
from typing import Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn.functional import normalize, pad
from tqdm import tqdm

from embedlab.errors import InputError
from embedlab.isotropic.rows import relevant_rows
from embedlab.parameters import Parameters, Seed
from embedlab.search.exact import Best, merge_top_k

logger = logging.getLogger(__name__)

# Similarities held at a time: 4096 x 8192, 128 MiB.
PAIR_BLOCK = 4096
DOCUMENT_BLOCK = 8192


class HardNegativeParameters(Parameters):
    """Which documents become negatives.

    Attributes:
        count: negatives mined for each pair; 0 mines none.
        skip: number of most similar documents left out, as they may be relevant but unlabelled.
        depth: number of next most similar documents, from which the negatives are drawn.
        max_relative_similarity: upper bound of a negative's similarity to the query over the
            positive's (TopK-PercPos of Moreira et al. 2024, NV-Retriever, arXiv 2407.15831).
        pool_size: upper bound of the documents searched, a random sample; null searches all.
        seed: of every draw.
    """

    count: int = Field(default=1, ge=0)
    skip: int = Field(default=0, ge=0)
    depth: int = Field(default=30, ge=1)
    max_relative_similarity: float | None = Field(default=0.95, gt=0, le=1)
    pool_size: int | None = Field(default=None, ge=1)
    seed: Seed = 0

    @model_validator(mode="after")
    def _deep_enough(self) -> Self:
        if self.depth < self.count:
            raise ValueError(f"depth {self.depth} is less than count {self.count}; raise it")
        return self


def mine_hard_negatives(
    queries: np.ndarray,
    documents: np.ndarray,
    pairs: np.ndarray,
    known: np.ndarray,
    parameters: HardNegativeParameters,
) -> np.ndarray:
    """Draw negatives among the documents most similar to each pair's query, by cosine.

    Documents are compared block by block, so both arrays may be memory maps larger than the memory.
    Where fewer candidates than `count` are allowed, the rest are random documents.

    Args:
        queries: vectors `(n, d)`.
        documents: vectors `(m, d)`.
        pairs: for each pair the row of its query and of its positive, int64 `(p, 2)`.
        known: further rows of a query and a document relevant to it, int64 `(r, 2)`. Relevant
            documents are never negatives.
        parameters: how many, and which.

    Returns:
        Rows of documents, int64 `(p, count)`, without repetition within a pair.

    Raises:
        InputError: if a query has fewer than `count` documents that are not relevant to it.

    Example:
        >>> documents = np.array([[1, 0], [0.9, 0.1], [0.8, 0.2], [0, 1]], dtype=np.float32)
        >>> pairs, known = np.array([[0, 0]]), np.array([[0, 1]])
        >>> one = HardNegativeParameters(count=1, depth=1)
        >>> mine_hard_negatives(documents[:1], documents, pairs, known, one)
        array([[3]])
    """
    p, num_random = parameters, 0
    negatives = np.empty((len(pairs), p.count), dtype=np.int64)
    if not negatives.size:
        return negatives
    relevant = relevant_rows(np.concatenate([pairs, known]), len(queries))
    num_relevant = (relevant >= 0).sum(axis=1)[pairs[:, 0]]
    _check_inputs(queries, documents, num_relevant, p.count)
    random = np.random.default_rng(p.seed)
    pool = np.sort(random.permutation(len(documents))[: p.pool_size])
    permutation = random.permutation(len(documents))
    by_query = np.argsort(pairs[:, 0], kind="stable")
    blocks = np.split(by_query, range(PAIR_BLOCK, len(by_query), PAIR_BLOCK))
    for block in tqdm(blocks, desc="hard negatives", unit="block", delay=2, leave=False):
        rows, index = np.unique(pairs[block, 0], return_inverse=True)
        vectors = _read_units(queries, rows)
        scores, candidates = (
            found[index] for found in _candidates(vectors, documents, pool, relevant[rows], p)
        )
        allowed = scores.isfinite()
        if p.max_relative_similarity is not None:
            positives = _read_units(documents, pairs[block, 1])
            similarities = (vectors[index] * positives).sum(dim=1, keepdim=True)
            allowed &= scores < p.max_relative_similarity * similarities
        drawn = _draw(candidates.cpu().numpy(), allowed.cpu().numpy(), p.count, random)
        num_random += int((drawn < 0).sum())
        negatives[block] = _fill(drawn, relevant[rows[index]], permutation, random)
    if num_random:
        share = f"{num_random} of {negatives.size}"
        logger.info("%s hard negatives are random: too few candidates were allowed", share)
    return negatives


def _check_inputs(
    queries: np.ndarray, documents: np.ndarray, num_relevant: np.ndarray, count: int
) -> None:
    if queries.shape[1] != documents.shape[1]:
        raise InputError(
            f"queries have {queries.shape[1]} dimensions and documents {documents.shape[1]}: "
            "embed both with the same encoder"
        )
    num_others = len(documents) - int(num_relevant.max())
    if num_others < count:
        raise InputError(
            f"hard negatives: count is {count}, but a query has only {num_others} of "
            f"{len(documents)} documents that are not relevant to it; lower count"
        )


def _read_units(vectors: np.ndarray, rows: np.ndarray) -> Tensor:
    """Rows `(b, d)`, L2-normalised, on the GPU if there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return normalize(torch.from_numpy(np.asarray(vectors[rows], dtype=np.float32)).to(device))


def _candidates(
    queries: Tensor,
    documents: np.ndarray,
    pool: np.ndarray,
    relevant: np.ndarray,
    parameters: HardNegativeParameters,
) -> tuple[Tensor, Tensor]:
    """Similarities and rows `(q, depth)` of the pool's most similar documents not in `relevant`.

    If there are fewer, the last similarities are minus infinity.
    """
    size = parameters.skip + parameters.depth
    best: Best | None = None
    for block in np.split(pool, range(DOCUMENT_BLOCK, len(pool), DOCUMENT_BLOCK)):
        similarity = queries @ _read_units(documents, block).T
        masked = np.isin(relevant, block)
        columns = np.searchsorted(block, relevant[masked])
        similarity[masked.nonzero()[0], columns] = -torch.inf
        best = merge_top_k(best, similarity, torch.from_numpy(block).to(queries.device), size)
    assert best is not None
    missing = size - best.scores.shape[1]
    scores = pad(best.scores, (0, missing), value=-torch.inf)
    return scores[:, parameters.skip :], pad(best.columns, (0, missing))[:, parameters.skip :]


def _draw(
    candidates: np.ndarray, allowed: np.ndarray, count: int, random: np.random.Generator
) -> np.ndarray:
    """Draw `count` allowed candidates a row without replacement, then -1 if there are too few."""
    keys = np.where(allowed, random.random(candidates.shape), np.inf)
    order = np.argsort(keys, axis=1)[:, :count]
    drawn = np.take_along_axis(candidates, order, axis=1)
    return np.where(np.take_along_axis(allowed, order, axis=1), drawn, -1)


def _fill(
    drawn: np.ndarray, relevant: np.ndarray, permutation: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Replace -1 in rows `(b, count)` by random documents, without repetition.

    They come from a random section of a permutation of all documents, long enough to hold `count`
    that are neither drawn already nor in the row of `relevant`, `(b, r)`.
    """
    short = np.flatnonzero((drawn < 0).any(axis=1))
    starts = random.integers(len(permutation), size=len(short))
    offsets = np.arange(min(len(permutation), drawn.shape[1] + relevant.shape[1]))
    excluded = np.concatenate([drawn, relevant], axis=1)
    for row, start in zip(short, starts, strict=True):
        section = permutation[(start + offsets) % len(permutation)]
        taken = (section[:, None] == excluded[row]).any(axis=1)
        missing = drawn[row] < 0
        drawn[row, missing] = section[~taken][: missing.sum()]
    return drawn
