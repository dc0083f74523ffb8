"""A Gaussian projection trained for retrieval, alone or with its base encoder."""

from embedlab.pipelines.isotropic_retrieval.pipeline import create_pipeline

__all__ = ["create_pipeline"]
