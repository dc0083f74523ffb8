"""The registered pipelines, instantiated for the encoders and data that the parameters name."""

from kedro.pipeline import Pipeline

from embedlab import project_parameters
from embedlab.pipelines.data_ingestion import pipeline as data_ingestion
from embedlab.pipelines.density import pipeline as density
from embedlab.pipelines.embedding_cache import pipeline as embedding_cache
from embedlab.pipelines.encoder_pretrain import pipeline as encoder_pretrain
from embedlab.pipelines.evaluation import pipeline as evaluation
from embedlab.pipelines.isotropic_retrieval import pipeline as isotropic_retrieval
from embedlab.pipelines.rnd import pipeline as rnd
from embedlab.pipelines.weight_export import pipeline as weight_export
from embedlab.retrieval.models import ISOTROPIC


def register_pipelines() -> dict[str, Pipeline]:
    """Build each pipeline; the default one joins those whose embeddings it makes.

    The pipelines of the resource encoder use no embeddings: they run by name only.
    """
    parameters = project_parameters.current()
    names = list(parameters.retrieval_sets()[0])
    base = parameters.base_encoder()
    pipelines = {
        "data_ingestion": data_ingestion.create_pipeline(parameters.data_ingestion, names),
        "embedding_cache": embedding_cache.create_pipeline(parameters.embedding_cache, names),
        "density": density.create_pipeline(parameters.density_encoder()),
        "rnd": rnd.create_pipeline(parameters.rnd_experiments()),
        "isotropic_retrieval": isotropic_retrieval.create_pipeline(
            parameters.isotropic_retrieval,
            base,
            names,
            # An unfrozen base of another kind is refused when it is loaded for training.
            exported=parameters.encoders[base].root.kind == "sentence_transformer"
            or not parameters.isotropic_retrieval.retrieval.freeze_base,
        ),
    }
    made = _vectors(pipelines["embedding_cache"].outputs())
    trained = _vectors(pipelines["isotropic_retrieval"].inputs()) <= made
    models = ["bm25", *parameters.embedding_cache.encoders, *([ISOTROPIC] if trained else [])]
    plan = evaluation.EvaluationPlan(
        tuple(parameters.evaluation.models or models),
        parameters.evaluated_baseline(),
        tuple(names),
        stages=tuple(parameters.isotropic_retrieval.trainings()),
        has_ablations=trained and bool(parameters.isotropic_retrieval.ablations.chosen()),
        trec_runs=parameters.evaluation.trec_runs,
    )
    pipelines["evaluation"] = evaluation.create_pipeline(plan)
    made |= _vectors(pipelines["isotropic_retrieval"].outputs())
    default = [part for part in pipelines.values() if _vectors(part.inputs()) <= made]
    by_name = {
        "encoder_pretrain": encoder_pretrain.create_pipeline(parameters.encoder_pretrain),
        "weight_export": weight_export.create_pipeline(parameters.encoder_pretrain),
    }
    return pipelines | by_name | {"__default__": sum(default, Pipeline([]))}


def _vectors(names: set[str]) -> set[str]:
    return {name for name in names if name.endswith(".vectors")}
