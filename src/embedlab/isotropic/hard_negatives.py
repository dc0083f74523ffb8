"""Hard negatives: documents near a query that do not answer it."""

import logging
from typing import Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn.functional import normalize
from tqdm import tqdm

from embedlab.errors import InputError
from embedlab.parameters import Parameters, Seed
from embedlab.search.exact import stable_top_k

logger = logging.getLogger(__name__)

# Similarities held at a time: 4096 x 8192, 128 MiB.
PAIR_BLOCK = 4096
DOCUMENT_BLOCK = 8192


class HardNegativeParameters(Parameters):
    """Which documents become negatives.

    Attributes:
        count: negatives of each pair; 0 mines none.
        skip: the nearest so many, which may be answers that nobody judged, are passed over.
        depth: how many of the next are considered, among which negatives are drawn; as many as
            `count` takes the nearest.
        max_relative_similarity: a negative is less similar to the query than this share of its
            positive's similarity (TopK-PercPos of Moreira et al. 2024, NV-Retriever,
            arXiv 2407.15831); None allows all.
        pool_size: at most so many documents, drawn with the seed, are searched; None searches all.
        seed: seed of every draw.
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
        known: rows of a query and a document relevant to it, int64 `(r, 2)`, which are never
            negatives; nor are the pairs' own positives.
        parameters: how many, and which.

    Returns:
        Rows of documents, int64 `(p, count)`, different within a row.

    Raises:
        InputError: if the dimensions differ, or a query has fewer than `count` documents that are
            not relevant to it.
    """
    if queries.shape[1] != documents.shape[1]:
        raise InputError(
            f"queries have {queries.shape[1]} dimensions and documents {documents.shape[1]}: "
            "embed both with the same encoder"
        )
    n_documents, p = len(documents), parameters
    negatives = np.empty((len(pairs), p.count), dtype=np.int64)
    if not negatives.size:
        return negatives
    relevant = _relevant(pairs, known, n_documents, p.count)
    random = np.random.default_rng(p.seed)
    pool = np.sort(random.permutation(n_documents)[: p.pool_size])
    circle, n_random = random.permutation(n_documents), 0
    by_query = np.argsort(pairs[:, 0], kind="stable")
    blocks = np.split(by_query, range(PAIR_BLOCK, len(by_query), PAIR_BLOCK))
    for block in tqdm(blocks, desc="hard negatives", unit="block", delay=2, leave=False):
        asked, own = np.unique(pairs[block, 0], return_inverse=True)
        answers = _answers(relevant, asked, n_documents)
        points = _unit(queries, asked)
        scores, candidates = _candidates(points, documents, pool, answers, p)
        positives = (points[own] * _unit(documents, pairs[block, 1])).sum(dim=1)
        allowed = _allowed(scores[own], positives, p).cpu().numpy()
        drawn = _draw(candidates.cpu().numpy()[own], allowed, p.count, random)
        n_random += int(np.count_nonzero(drawn < 0))
        negatives[block] = _filled(drawn, own, answers, circle, random)
    if n_random:
        share = f"{n_random} of {negatives.size}"
        logger.info("%s hard negatives are random, for want of allowed candidates", share)
    return negatives


def _relevant(pairs: np.ndarray, known: np.ndarray, n_documents: int, count: int) -> np.ndarray:
    """The relevant documents of the pairs' queries as sorted keys: query * m + document."""
    rows = np.concatenate([known[np.isin(known[:, 0], pairs[:, 0])], pairs])
    keys = np.unique(rows @ [n_documents, 1])
    n_others = n_documents - int(np.bincount(keys // n_documents).max())
    if n_others < count:
        raise InputError(
            f"hard negatives: count is {count}, but a query has only {n_others} of "
            f"{n_documents} documents that are not relevant to it; lower count"
        )
    return keys


def _answers(relevant: np.ndarray, asked: np.ndarray, n_documents: int) -> np.ndarray:
    """The relevant documents of the asked queries: place in `asked` and document, int64 `(r, 2)`.

    Blocks are sorted by query, so that no other query lies between those asked.
    """
    start, stop = np.searchsorted(relevant, [asked[0] * n_documents, (asked[-1] + 1) * n_documents])
    queries, documents = np.divmod(relevant[start:stop], n_documents)
    return np.column_stack([np.searchsorted(asked, queries), documents])


def _unit(vectors: np.ndarray, rows: np.ndarray) -> Tensor:
    """Rows `(b, d)` read into memory, of length 1, on the graphics card where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return normalize(torch.from_numpy(np.asarray(vectors[rows], dtype=np.float32)).to(device))


def _candidates(
    points: Tensor,
    documents: np.ndarray,
    pool: np.ndarray,
    answers: np.ndarray,
    parameters: HardNegativeParameters,
) -> tuple[Tensor, Tensor]:
    """Similarities and rows `(q, depth)` of the most similar documents of the pool, no answers.

    Where there are fewer, the similarity is minus infinity.
    """
    size = parameters.skip + parameters.depth
    scores = points.new_full((len(points), size), -torch.inf)
    rows = torch.zeros_like(scores, dtype=torch.int64)
    for start in range(0, len(pool), DOCUMENT_BLOCK):
        part = pool[start : start + DOCUMENT_BLOCK]
        similarity = points @ _unit(documents, part).T
        there = answers[np.isin(answers[:, 1], part)]
        similarity[there[:, 0], np.searchsorted(part, there[:, 1])] = -torch.inf
        best, columns = stable_top_k(similarity, size)
        found = torch.from_numpy(part).to(rows.device)[columns]
        scores, kept = stable_top_k(torch.cat([scores, best], dim=1), size)
        rows = torch.cat([rows, found], dim=1).gather(1, kept)
    return scores[:, parameters.skip :], rows[:, parameters.skip :]


def _allowed(scores: Tensor, positives: Tensor, parameters: HardNegativeParameters) -> Tensor:
    """Which candidates `(b, depth)` may be negatives of pairs of these similarities `(b,)`."""
    share = parameters.max_relative_similarity
    sound = scores.isfinite()
    return sound if share is None else sound & (scores < share * positives[:, None])


def _draw(
    candidates: np.ndarray, allowed: np.ndarray, count: int, random: np.random.Generator
) -> np.ndarray:
    """Draw `count` allowed candidates a row, without replacement; -1 where there are no more."""
    keys = np.where(allowed, random.random(candidates.shape), np.inf)
    order = np.argsort(keys, axis=1)[:, :count]
    drawn = np.take_along_axis(candidates, order, axis=1)
    return np.where(np.take_along_axis(allowed, order, axis=1), drawn, -1)


def _filled(
    drawn: np.ndarray,
    own: np.ndarray,
    answers: np.ndarray,
    circle: np.ndarray,
    random: np.random.Generator,
) -> np.ndarray:
    """Put random documents in the place of -1, which stand last in the rows `(b, count)`.

    From a random point on, the circle of all documents is followed until there are enough that are
    neither answers of the row's query nor drawn already.
    """
    short = np.flatnonzero((drawn < 0).any(axis=1))
    if not short.size:
        return drawn
    n_documents, count = len(circle), drawn.shape[1]
    width = min(n_documents, count + int(np.bincount(answers[:, 0]).max()))
    starts = random.integers(n_documents, size=(len(short), 1))
    offered = circle[(starts + np.arange(width)) % n_documents]
    taken = np.isin(own[short, None] * n_documents + offered, answers @ [n_documents, 1])
    taken |= (offered[:, :, None] == drawn[short, None, :]).any(axis=2)
    free = np.argsort(taken, axis=1, kind="stable")
    # The j-th missing negative of a row is the j-th free document.
    missing = drawn[short] < 0
    places = np.take_along_axis(free, (missing.cumsum(axis=1) - 1).clip(0), axis=1)
    filled = drawn.copy()
    filled[short] = np.where(missing, np.take_along_axis(offered, places, axis=1), drawn[short])
    return filled
