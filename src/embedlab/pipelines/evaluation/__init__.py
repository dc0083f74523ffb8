"""Retrieval quality of BM25 and of each encoder, on each retrieval set."""

from embedlab.pipelines.evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
