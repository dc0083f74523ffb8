"""The pre-trained encoder's vectors as the weights of a hierarchical decoder."""

from embedlab.pipelines.weight_export.pipeline import create_pipeline

__all__ = ["create_pipeline"]
