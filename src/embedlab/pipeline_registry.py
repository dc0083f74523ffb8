"""The registered pipelines, instantiated for the encoders and data that the parameters name."""

from kedro.pipeline import Pipeline

from embedlab import project_parameters
from embedlab.pipelines import (
    data_ingestion,
    density,
    embedding_cache,
    encoder_pretrain,
    evaluation,
    isotropic_retrieval,
    rnd,
    weight_export,
)
from embedlab.retrieval.models import ISOTROPIC


def register_pipelines() -> dict[str, Pipeline]:
    """Build each pipeline; the default one has all whose embeddings are made in it.

    The resource encoder brings its own language model and no embeddings: it runs by name only.
    """
    parameters = project_parameters.current()
    sets, notes = parameters.retrieval_sets()
    names, base = list(sets), parameters.base_encoder()
    pipelines = {
        "data_ingestion": data_ingestion.create_pipeline(parameters.data_ingestion, sets),
        "embedding_cache": embedding_cache.create_pipeline(parameters.embedding_cache, names),
        "density": density.create_pipeline(parameters.density_encoder()),
        "rnd": rnd.create_pipeline(parameters.rnd_experiments()),
        "isotropic_retrieval": isotropic_retrieval.create_pipeline(
            parameters.isotropic_retrieval,
            base,
            names,
            # An unfrozen base of another kind is refused where it is to be trained.
            exported=parameters.encoders[base].root.kind == "sentence_transformer"
            or not parameters.isotropic_retrieval.retrieval.freeze_base,
        ),
    }
    made = _embeddings(pipelines["embedding_cache"].outputs())
    trained = _embeddings(pipelines["isotropic_retrieval"].inputs()) <= made
    models = ["bm25", *parameters.embedding_cache.encoders, *([ISOTROPIC] if trained else [])]
    pipelines["evaluation"] = evaluation.create_pipeline(
        parameters.evaluation.models or models,
        parameters.evaluation.baseline or base,
        names,
        notes,
        parameters.evaluation,
        ablations=trained and bool(parameters.isotropic_retrieval.ablations.chosen()),
        stages=list(parameters.isotropic_retrieval.trainings()),
    )
    made |= _embeddings(pipelines["isotropic_retrieval"].outputs())
    default = [part for part in pipelines.values() if _embeddings(part.inputs()) <= made]
    by_name = {
        "encoder_pretrain": encoder_pretrain.create_pipeline(parameters.encoder_pretrain),
        "weight_export": weight_export.create_pipeline(parameters.encoder_pretrain),
    }
    return pipelines | by_name | {"__default__": sum(default, Pipeline([]))}


def _embeddings(names: set[str]) -> set[str]:
    return {name for name in names if name.endswith(".embeddings")}
