"""Nodes of the embedding_cache pipeline."""

import logging
from typing import Any

import torch
from torch.nn.functional import normalize

from embedlab.encoders.collection import TextCollection
from embedlab.encoders.embed import embed
from embedlab.encoders.embeddings import NewEmbeddings
from embedlab.encoders.parameters import EncoderParameters, ExecutionParameters
from embedlab.encoders.recipe import Recipe, make_recipe
from embedlab.encoders.store import VectorStore
from embedlab.pipelines.embedding_cache.parameters import OnDemandParameters
from embedlab.sources.on_demand import read_items

logger = logging.getLogger(__name__)


def embed_collection(
    texts: TextCollection,
    encoder: EncoderParameters,
    execution: ExecutionParameters,
    store: VectorStore,
) -> NewEmbeddings:
    """Encode the texts of a collection that the store lacks; give the vectors of all."""
    recipe = make_recipe(encoder.root, texts.role, execution)
    vectors, report = embed(texts.parts, recipe, store, execution)
    logger.info(
        "%d items: %d texts encoded in %.1f s, %d found in the store",
        *(len(texts.ids), report.misses, report.seconds, report.hits),
    )
    return NewEmbeddings(vectors, texts.ids, _provenance(texts, recipe))


def embed_on_demand(
    on_demand: OnDemandParameters,
    encoder: EncoderParameters,
    execution: ExecutionParameters,
    store: VectorStore,
) -> dict[str, Any]:
    """Embed the items of a file: {"ids": [...], "emb": float32 (n, d), L2-normalised}."""
    assert on_demand.path is not None
    ids, texts = read_items(on_demand.path, on_demand.on_error)
    recipe = make_recipe(encoder.root, "document", execution)
    vectors, report = embed([texts], recipe, store, execution)
    logger.info("%s: %d items, %d texts encoded", on_demand.path, len(ids), report.misses)
    return {"ids": ids, "emb": normalize(torch.from_numpy(vectors.read()), dim=1)}


def _provenance(texts: TextCollection, recipe: Recipe) -> dict[str, Any]:
    """The encoder and the texts of vectors."""
    return {
        "fingerprint": recipe.fingerprint,
        "model": recipe.model,
        "pooling": recipe.description.get("pooling"),
        "similarity": recipe.similarity,
        "encoder": recipe.description,
        "role": texts.role,
        "texts_per_item": len(texts.parts),
        "id_scheme": texts.id_scheme,
    }
