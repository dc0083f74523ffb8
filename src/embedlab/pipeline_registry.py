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
from embedlab.project_parameters import ProjectParameters
from embedlab.retrieval.models import BM25, ISOTROPIC


def register_pipelines() -> dict[str, Pipeline]:
    """Build each pipeline; the default one joins those whose embeddings it makes.

    The pipelines of the resource encoder use no embeddings: they run by name only.
    """
    parameters = project_parameters.current()
    names = tuple(parameters.retrieval_sets()[0])
    pipelines = {
        "data_ingestion": data_ingestion.create_pipeline(parameters.data_ingestion, names),
        "embedding_cache": embedding_cache.create_pipeline(parameters.embedding_cache, names),
        "density": density.create_pipeline(parameters.density_encoder()),
        "rnd": rnd.create_pipeline(parameters.rnd_experiments()),
        "isotropic_retrieval": _isotropic_retrieval(parameters, names),
    }
    made = _vectors(pipelines["embedding_cache"].outputs())
    is_trained = _vectors(pipelines["isotropic_retrieval"].inputs()) <= made
    pipelines["evaluation"] = _evaluation(parameters, names, is_trained)
    made |= _vectors(pipelines["isotropic_retrieval"].outputs())
    default = [part for part in pipelines.values() if _vectors(part.inputs()) <= made]
    by_name = {
        "encoder_pretrain": encoder_pretrain.create_pipeline(parameters.encoder_pretrain),
        "weight_export": weight_export.create_pipeline(),
    }
    return pipelines | by_name | {"__default__": sum(default, Pipeline([]))}


def _isotropic_retrieval(parameters: ProjectParameters, names: tuple[str, ...]) -> Pipeline:
    base, training = parameters.base_encoder(), parameters.isotropic_retrieval
    is_transformer = parameters.encoders[base].root.kind == "sentence_transformer"
    # An unfrozen base of another kind is refused when it is loaded for training.
    exported = is_transformer or not training.retrieval.freeze_base
    return isotropic_retrieval.create_pipeline(training, base, names, exported)


def _evaluation(
    parameters: ProjectParameters, names: tuple[str, ...], is_trained: bool
) -> Pipeline:
    models = [BM25, *parameters.embedding_cache.encoders, *([ISOTROPIC] if is_trained else [])]
    training = parameters.isotropic_retrieval
    plan = evaluation.EvaluationPlan(
        tuple(parameters.evaluation.models or models),
        parameters.evaluated_baseline(),
        names,
        stages=tuple(training.trainings()),
        has_ablations=is_trained and bool(training.ablations.chosen()),
        trec_runs=parameters.evaluation.trec_runs,
    )
    return evaluation.create_pipeline(plan)


def _vectors(names: set[str]) -> set[str]:
    return {name for name in names if name.endswith(".vectors")}
