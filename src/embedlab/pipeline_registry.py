"""The registered pipelines, instantiated for the encoders and data that the parameters name."""

from kedro.pipeline import Pipeline

from embedlab import project_parameters
from embedlab.pipelines import data_ingestion, density, embedding_cache, evaluation, rnd


def register_pipelines() -> dict[str, Pipeline]:
    """Build each pipeline; the default one has all whose embeddings are made in it."""
    parameters = project_parameters.current()
    sets, notes = parameters.retrieval_sets()
    pipelines = {
        "data_ingestion": data_ingestion.create_pipeline(parameters.data_ingestion, sets),
        "embedding_cache": embedding_cache.create_pipeline(parameters.embedding_cache, list(sets)),
        "density": density.create_pipeline(parameters.density_encoder()),
        "rnd": rnd.create_pipeline(parameters.rnd_experiments()),
        "evaluation": evaluation.create_pipeline(
            parameters.embedding_cache.encoders, list(sets), notes, parameters.evaluation.trec_runs
        ),
    }
    made = _embeddings(pipelines["embedding_cache"].outputs())
    default = [part for part in pipelines.values() if _embeddings(part.inputs()) <= made]
    return pipelines | {"__default__": sum(default, Pipeline([]))}


def _embeddings(names: set[str]) -> set[str]:
    return {name for name in names if name.endswith(".embeddings")}
