"""Novelty of pairs by random network distillation, beside baselines."""

from embedlab.pipelines.rnd.pipeline import create_pipeline

__all__ = ["create_pipeline"]
