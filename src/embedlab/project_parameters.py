"""All parameters of the environment; they decide which nodes the pipelines have."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from kedro.framework.project import settings
from kedro.utils import find_kedro_project
from pydantic import StringConstraints, model_validator

from embedlab.encoders.parameters import EncoderParameters
from embedlab.novelty.training import ExperimentParameters
from embedlab.parameters import Parameters
from embedlab.pipelines.data_ingestion.parameters import DataIngestionParameters, catalog_name
from embedlab.pipelines.density.parameters import DensityParameters
from embedlab.pipelines.embedding_cache.parameters import EmbeddingCacheParameters
from embedlab.pipelines.encoder_pretrain.parameters import EncoderPretrainParameters
from embedlab.pipelines.evaluation.parameters import EvaluationParameters
from embedlab.pipelines.isotropic_retrieval.parameters import IsotropicRetrievalParameters
from embedlab.pipelines.rnd.parameters import RNDParameters
from embedlab.pipelines.weight_export.parameters import WeightExportParameters
from embedlab.retrieval.models import ISOTROPIC
from embedlab.sources.beir_sets import available_sets

# Names become parts of catalog entries and of paths.
EncoderName = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_-]+$")]


class LineageParameters(Parameters):
    """What is done about artifacts that would now be made otherwise.

    Attributes:
        on_stale: `error` ends a run that would read one before its first node; `warn` logs it.
    """

    on_stale: Literal["error", "warn", "ignore"] = "error"


class ProjectParameters(Parameters):
    """Every parameter group; an unknown one is an error too."""

    encoders: dict[EncoderName, EncoderParameters]
    data_ingestion: DataIngestionParameters
    embedding_cache: EmbeddingCacheParameters
    density: DensityParameters
    rnd: RNDParameters
    encoder_pretrain: EncoderPretrainParameters
    weight_export: WeightExportParameters
    isotropic_retrieval: IsotropicRetrievalParameters
    evaluation: EvaluationParameters
    lineage: LineageParameters = LineageParameters()

    @model_validator(mode="after")
    def _encoders_are_named_well(self) -> Self:
        for name, owner in (("bm25", "lexical baseline"), (ISOTROPIC, "trained projection")):
            if name in self.encoders:
                raise ValueError(f"encoder {name}: that name is the {owner}'s; take another")
        if unknown := sorted(set(self.evaluation.similarity) - {*self.encoders, ISOTROPIC}):
            raise ValueError(f"evaluation.similarity names {unknown[0]}, which is no encoder")
        cache = self.embedding_cache
        users = {"density": self.density_encoder(), "isotropic_retrieval": self.base_encoder()}
        used = {*cache.encoders, cache.on_demand.encoder, *users.values()}
        if unknown := sorted(used - set(self.encoders)):
            known = ", ".join(self.encoders)
            raise ValueError(f"encoder {', '.join(unknown)} is not defined; there are {known}")
        for user, encoder in users.items():
            if encoder not in cache.encoders:
                raise ValueError(
                    f"{user}.encoder is {encoder}, whose vectors are not made; "
                    "name it in embedding_cache.encoders too"
                )
        for name, experiment in self.rnd_experiments().items():
            if experiment.encoder_name not in cache.encoders:
                raise ValueError(
                    f"rnd experiment {name}: encoder_name {experiment.encoder_name} is not in "
                    f"embedding_cache.encoders ({', '.join(cache.encoders)})"
                )
        return self

    @model_validator(mode="after")
    def _pretraining_has_pairs(self) -> Self:
        collections = [
            f"embedding_cache.collections: {collection}"
            for collection in self.embedding_cache.collections
            if collection.startswith("pretraining")
        ]
        stage = ["isotropic_retrieval.pretraining"] if self.isotropic_retrieval.pretraining else []
        users = [*stage, *collections]
        if users and self.data_ingestion.pretraining_pairs is None:
            raise ValueError(f"{users[0]} needs data_ingestion.pretraining_pairs")
        return self

    @model_validator(mode="after")
    def _models_have_vectors(self) -> Self:
        known = ("bm25", *self.embedding_cache.encoders, ISOTROPIC)
        named = [*(self.evaluation.models or ()), self.evaluation.baseline or "bm25"]
        if unknown := [name for name in named if name not in known]:
            raise ValueError(
                f"evaluation names the model {unknown[0]}; there are {', '.join(known)}"
            )
        baseline = self.evaluated_baseline()
        if self.evaluation.models and baseline not in self.evaluation.models:
            raise ValueError(
                f"evaluation.models lacks the baseline {baseline}; "
                "add it, or name another as evaluation.baseline"
            )
        return self

    def rnd_experiments(self) -> dict[str, ExperimentParameters]:
        """The experiments of rnd by name, each with its encoder."""
        return self.rnd.named(self.embedding_cache.encoders)

    def density_encoder(self) -> str:
        """The encoder whose vectors density uses."""
        return self.density.encoder or self.embedding_cache.encoders[0]

    def base_encoder(self) -> str:
        """The encoder that the isotropic projection is trained on."""
        return self.isotropic_retrieval.encoder or self.embedding_cache.encoders[0]

    def retrieval_sets(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """The retrieval sets to test on, groups expanded.

        Returns:
            The path of each set by its name in the catalog, and a note on each set left out.
        """
        ingestion = self.data_ingestion
        names, notes = available_sets(ingestion.retrieval_sets, Path(ingestion.beir.root))
        return {catalog_name(name): name for name in names}, notes

    def for_nodes(self) -> dict[str, Any]:
        """These parameters as nodes take them, completed.

        `parts` has the groups again of which nodes take parts: Kedro validates no part of a group
        that another node takes as a whole.

        Besides the groups there are `retrieval_sets` and `skipped_sets`, both results of the method
        `retrieval_sets`.
        """
        sets, notes = self.retrieval_sets()
        parameters = self.completed().model_dump(mode="json")
        divided = ("density", "encoder_pretrain", "isotropic_retrieval")
        parts = {name: parameters[name] for name in divided}
        return parameters | {"retrieval_sets": sets, "skipped_sets": list(notes), "parts": parts}

    def completed(self) -> Self:
        """These parameters with the baseline of the evaluation filled in."""
        evaluation = self.evaluation.model_copy(update={"baseline": self.evaluated_baseline()})
        return self.model_copy(update={"evaluation": evaluation})

    def evaluated_baseline(self) -> str:
        """The model that evaluation compares the others with."""
        return self.evaluation.baseline or self.base_encoder()


_current: ProjectParameters | None = None


def use(raw: dict[str, Any]) -> ProjectParameters:
    """Validate the parameters of a new session, for which pipelines are then built.

    Raises:
        InputError: naming each faulty key and the reason.
    """
    global _current
    _current = ProjectParameters.model_validate(raw)
    return _current


def current() -> ProjectParameters:
    """The parameters of the session, or of the configuration folder if none has started."""
    if _current is not None:
        return _current
    loader = settings.CONFIG_LOADER_CLASS(
        str((find_kedro_project(Path.cwd()) or Path.cwd()) / settings.CONF_SOURCE),
        env=os.environ.get("KEDRO_ENV"),
        **settings.CONFIG_LOADER_ARGS,
    )
    return use(loader["parameters"])
