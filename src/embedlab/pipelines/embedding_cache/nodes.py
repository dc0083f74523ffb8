"""Nodes of the embedding_cache pipeline."""

import logging
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from embedlab.encoders.collection import TextCollection
from embedlab.encoders.embed import EncodingReport, embed
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
) -> tuple[np.ndarray, list[str], dict[str, Any]]:
    """Embed a collection through the store.

    Returns:
        Vectors, float32 (n, d); the n ids; and what is to be known of them.
    """
    recipe = make_recipe(encoder.root, texts.role, execution)
    flat = [text for part in texts.parts for text in part]
    vectors, report = embed(flat, recipe, store, execution)
    embeddings = texts.join(vectors)
    logger.info(
        "%d items: %d texts encoded, %d found in the store",
        *(len(texts.ids), report.misses, report.hits),
    )
    return embeddings, texts.ids, describe_embeddings(embeddings, texts, recipe, report)


def describe_embeddings(
    embeddings: np.ndarray, texts: TextCollection, recipe: Recipe, report: EncodingReport
) -> dict[str, Any]:
    """What is to be known of published vectors (n, d), JSON-ready."""
    norms = np.linalg.norm(embeddings, axis=1) if len(embeddings) else np.zeros(1)
    return {
        "n_items": embeddings.shape[0],
        "embedding_dim": embeddings.shape[1],
        "fingerprint": recipe.fingerprint,
        "model": recipe.model,
        "pooling": recipe.description.get("pooling"),
        "encoder": recipe.description,
        "role": texts.role,
        "texts_per_item": len(texts.parts),
        "id_scheme": texts.id_scheme,
        "texts_sha256": texts.digest,
        "norm": {name: float(getattr(norms, name)()) for name in ("min", "mean", "max", "std")},
        "hits": report.hits,
        "misses": report.misses,
        "encoding_seconds": round(report.seconds, 3),
        "texts_per_second": round(report.misses / report.seconds, 1) if report.misses else None,
    }


def embed_on_demand(
    on_demand: OnDemandParameters,
    encoder: EncoderParameters,
    execution: ExecutionParameters,
    store: VectorStore,
) -> dict[str, Any]:
    """Embed one file of items: {"ids": [...], "emb": float32 (n, d), L2-normalised}."""
    assert on_demand.path is not None
    ids, texts = read_items(on_demand.path, on_demand.on_error)
    recipe = make_recipe(encoder.root, "document", execution)
    vectors, report = embed(texts, recipe, store, execution)
    logger.info("%s: %d items, %d texts encoded", on_demand.path, len(ids), report.misses)
    return {"ids": ids, "emb": normalize(torch.from_numpy(vectors), dim=1)}
