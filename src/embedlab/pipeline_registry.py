"""The registered pipelines, instantiated for the encoders and data that the parameters name."""

from kedro.pipeline import Pipeline

from embedlab import project_parameters
from embedlab.pipelines import data_ingestion, density, embedding_cache, evaluation


def register_pipelines() -> dict[str, Pipeline]:
    """Build each pipeline; the default one runs all whose embeddings it makes."""
    parameters = project_parameters.current()
    sets, notes = parameters.retrieval_sets()
    pipelines = {
        "data_ingestion": data_ingestion.create_pipeline(parameters.data_ingestion, sets),
        "embedding_cache": embedding_cache.create_pipeline(parameters.embedding_cache, list(sets)),
        "density": density.create_pipeline(parameters.density_encoder()),
        "evaluation": evaluation.create_pipeline(
            parameters.embedding_cache.encoders, list(sets), notes, parameters.evaluation.trec_runs
        ),
    }
    default = dict(pipelines)
    if not {"prefixes", "responses"} <= set(parameters.embedding_cache.collections):
        del default["density"]  # its embeddings are not made
    return pipelines | {"__default__": sum(default.values(), Pipeline([]))}
