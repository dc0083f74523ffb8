"""The registered pipelines, instantiated for the encoders and data that the parameters name."""

from kedro.pipeline import Pipeline

from embedlab import project_parameters
from embedlab.pipelines import data_ingestion, embedding_cache, evaluation


def register_pipelines() -> dict[str, Pipeline]:
    """Build each pipeline; the default one runs them all."""
    parameters = project_parameters.current()
    sets, notes = parameters.retrieval_sets()
    pipelines = {
        "data_ingestion": data_ingestion.create_pipeline(parameters.data_ingestion, sets),
        "embedding_cache": embedding_cache.create_pipeline(parameters.embedding_cache, list(sets)),
        "evaluation": evaluation.create_pipeline(
            parameters.embedding_cache.encoders, list(sets), notes, parameters.evaluation.trec_runs
        ),
    }
    return pipelines | {"__default__": sum(pipelines.values(), Pipeline([]))}
