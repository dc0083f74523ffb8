"""Parameters of the embedding_cache pipeline."""

from pathlib import Path
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
        path: JSON lines of `id` and either `prefix` (messages) or `prompt`; null for no file.
        encoder: name of an entry of `encoders`.
        on_error: whether to `fail` on bad rows or `skip` them.
    """

    path: Path | None = None
    encoder: str = "minilm"
    on_error: OnError = "fail"


class EmbeddingCacheParameters(Parameters):
    """The encoders, the collections that they embed, and the execution.

    Attributes:
        encoders: names of entries of `encoders`.
        collections: tables to embed, besides the queries and documents of all retrieval sets. The
            vector of a pair is two concatenated vectors; in `novelty_pairs_concat`, that of the
            concatenated texts.
    """

    encoders: tuple[str, ...] = Field(min_length=1)
    collections: tuple[Collection, ...]
    execution: ExecutionParameters = ExecutionParameters()
    on_demand: OnDemandParameters = OnDemandParameters()
