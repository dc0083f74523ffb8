"""A resource encoder, pre-trained until a frozen LLM reads configurations from its vectors."""

from embedlab.pipelines.encoder_pretrain.pipeline import create_pipeline

__all__ = ["create_pipeline"]
