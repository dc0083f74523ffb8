"""Wiring of the embedding_cache pipeline."""

from collections.abc import Callable, Sequence
from itertools import product, starmap

from kedro.pipeline import Node, Pipeline

from embedlab.encoders.collection import (
    TextCollection,
    concatenated_pair_texts,
    corpus_texts,
    pair_document_texts,
    pair_query_texts,
    pair_texts,
    prefix_texts,
    query_texts,
    response_texts,
)
from embedlab.pipelines.embedding_cache.nodes import embed_collection, embed_on_demand
from embedlab.pipelines.embedding_cache.parameters import EmbeddingCacheParameters

VIEWS: dict[str, tuple[Callable[..., TextCollection], list[str]]] = {
    "problem_solutions": (pair_texts, ["problem_solutions"]),
    "novelty_pairs": (pair_texts, ["novelty_pairs"]),
    "novelty_pairs_concat": (concatenated_pair_texts, ["novelty_pairs"]),
    "prefixes": (prefix_texts, ["prefixes"]),
    "responses": (response_texts, ["preference_pairs"]),
    "retrieval_queries": (pair_query_texts, ["retrieval_pairs_train", "retrieval_pairs_val"]),
    "retrieval_documents": (pair_document_texts, ["retrieval_documents"]),
    "pretraining_queries": (pair_query_texts, ["pretraining_pairs_train", "pretraining_pairs_val"]),
    "pretraining_documents": (pair_document_texts, ["pretraining_documents"]),
}
EXECUTION = "params:embedding_cache.execution"


def create_pipeline(
    parameters: EmbeddingCacheParameters, retrieval_sets: Sequence[str]
) -> Pipeline:
    """One view per collection, then one template per encoder and collection.

    ```
    problem_solutions ───┐
    prefixes ────────────┤
    preference_pairs ────┤
    {stage}_pairs_… ─────┤
    {stage}_documents ───┤
    beir.{set}.queries ──┼─ view ─ {collection}.texts ─ embed ─ {encoder}.{collection}.vectors
    beir.{set}.corpus ───┘         embedding_store ───┘
    ```
    """
    views = [_view(name, *VIEWS[name]) for name in parameters.collections]
    views += [view for name in retrieval_sets for view in set_views(name)]
    collections = [node.outputs[0].removesuffix(".texts") for node in views]
    embeddings = starmap(_embedding, product(parameters.encoders, collections))
    return sum(embeddings, Pipeline([*views, *_on_demand(parameters)]))


def set_views(name: str) -> list[Node]:
    """The nodes that make the texts of a retrieval set's queries and documents."""
    return [
        _view(f"{name}_queries", query_texts, [f"beir.{name}.queries"]),
        _view(f"{name}_corpus", corpus_texts, [f"beir.{name}.corpus"]),
    ]


def _view(collection: str, function: Callable[..., TextCollection], inputs: list[str]) -> Node:
    return Node(function, inputs, f"{collection}.texts", name=f"view_{collection}")


def _embedding(encoder: str, collection: str) -> Pipeline:
    """The template that embeds one collection by one encoder."""
    inputs = ["texts", "params:encoder", EXECUTION, "embedding_store"]
    return Pipeline(
        [Node(embed_collection, inputs, "vectors", name="embed")],
        namespace=f"{encoder}.{collection}",
        inputs={"texts": f"{collection}.texts", "embedding_store": "embedding_store"},
        parameters={"params:encoder": f"params:encoders.{encoder}", EXECUTION: EXECUTION},
    )


def _on_demand(parameters: EmbeddingCacheParameters) -> list[Node]:
    """The node that embeds one file, if a file is named."""
    if parameters.on_demand.path is None:
        return []
    encoder = f"params:encoders.{parameters.on_demand.encoder}"
    inputs = ["params:embedding_cache.on_demand", encoder, EXECUTION, "embedding_store"]
    outputs = "on_demand_embeddings"
    return [Node(embed_on_demand, inputs, outputs, name="embed_on_demand", tags="on_demand")]
