"""Parameters of the embedding_cache pipeline."""

from typing import Literal

from pydantic import Field

from embedlab.encoders.parameters import ExecutionParameters
from embedlab.parameters import Parameters
from embedlab.sources.bad_rows import OnError

Collection = Literal[
    "problem_solutions",
    "novelty_pairs",
    "novelty_pairs_concat",
    "prefixes",
    "responses",
    "retrieval_queries",
    "retrieval_documents",
    "pretraining_queries",
    "pretraining_documents",
]


class OnDemandParameters(Parameters):
    """The quick path: one file of items to one file of vectors.

    Attributes:
        path: JSON lines of `id` and either `prefix` (messages) or `prompt`; absent, nothing is run.
        encoder: which of the encoders to use.
        on_error: what to do about bad rows.
    """

    path: str | None = None
    encoder: str = "minilm"
    on_error: OnError = "fail"


class EmbeddingCacheParameters(Parameters):
    """Which encoders embed which collections, and how.

    Attributes:
        encoders: names of entries of `encoders`.
        collections: tables to embed, beside the queries and documents of every retrieval set;
            pairs are two vectors end to end, or one of both texts if `concat`.
        execution: how encoding runs.
        on_demand: the quick path.
    """

    encoders: tuple[str, ...] = Field(min_length=1)
    collections: tuple[Collection, ...]
    execution: ExecutionParameters = ExecutionParameters()
    on_demand: OnDemandParameters = OnDemandParameters()
