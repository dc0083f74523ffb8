"""Retrieval quality of BM25 and of each encoder, on each retrieval set."""

from embedlab.pipelines.evaluation.pipeline import EvaluationPlan, create_pipeline

__all__ = ["EvaluationPlan", "create_pipeline"]
