"""Raw data to the tables and retrieval sets that all experiments start from."""

from embedlab.pipelines.data_ingestion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
