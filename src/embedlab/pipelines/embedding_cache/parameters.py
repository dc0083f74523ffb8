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
    """A file of items to embed into one file of vectors.

    Attributes:
        path: JSON lines of `id` and either `prefix` (messages) or `prompt`; None skips this.
        encoder: name of an entry of `encoders`.
        on_error: `fail` on bad rows, or `skip` them.
    """

    path: str | None = None
    encoder: str = "minilm"
    on_error: OnError = "fail"


class EmbeddingCacheParameters(Parameters):
    """Which encoders embed which collections, and how.

    Attributes:
        encoders: names of entries of `encoders`.
        collections: tables to embed, besides the queries and documents of all retrieval sets; the
            vector of a pair concatenates two vectors, or embeds both texts as one in `concat`.
        execution: how encoding runs.
        on_demand: the file of items.
    """

    encoders: tuple[str, ...] = Field(min_length=1)
    collections: tuple[Collection, ...]
    execution: ExecutionParameters = ExecutionParameters()
    on_demand: OnDemandParameters = OnDemandParameters()
