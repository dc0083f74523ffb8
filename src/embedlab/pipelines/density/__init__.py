"""Density weights of prefixes, samples by them, and reward models with and without them."""

from embedlab.pipelines.density.pipeline import create_pipeline

__all__ = ["create_pipeline"]
