"""Encode each text once, and publish the vectors of every collection."""

from embedlab.pipelines.embedding_cache.pipeline import create_pipeline

__all__ = ["create_pipeline"]
