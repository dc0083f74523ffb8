"""Parameters of the isotropic_retrieval pipeline."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from embedlab.errors import InputError
from embedlab.isotropic.parameters import IsotropicTrainingParameters
from embedlab.parameters import Parameters, Seed, merge, merge_each
from embedlab.training.parameters import TrainingRunParameters

Stage = Literal["pretraining", "retrieval"]
# Part of the names of checkpoint files.
VariantName = Annotated[str, StringConstraints(pattern="^[a-z0-9_-]+$")]


class AblationParameters(Parameters):
    """The variants of the training that are compared.

    Attributes:
        variants: by name, the parameters that differ from `retrieval`.
        only: names of the variants to train; null trains all, an empty list none.
        seeds: each variant is trained with each seed.
        max_vectors: upper bound on the vectors sampled for the measures of isotropy.
        num_resamples: bootstrap samples of each interval, and sign flips of each test.
    """

    variants: dict[VariantName, IsotropicTrainingParameters] = Field(default_factory=dict)
    only: tuple[str, ...] | None = None
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)
    max_vectors: int = Field(10_000, ge=2)
    num_resamples: int = Field(1000, ge=1)

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        if unknown := sorted(set(self.only or ()) - set(self.variants)):
            known = ", ".join(self.variants)
            raise ValueError(f"only: unknown variant {unknown[0]}; there are {known}")
        return self

    def chosen(self) -> dict[str, IsotropicTrainingParameters]:
        """The variants to train, by name."""
        names = self.variants if self.only is None else self.only
        return {name: self.variants[name] for name in names}


class IsotropicRetrievalParameters(TrainingRunParameters):
    """Training of the projection.

    Attributes:
        encoder: name of the base; null for the first of `embedding_cache.encoders`.
        retrieval: the training on `retrieval_pairs`.
        pretraining: an earlier training on `pretraining_pairs`, as the parameters that differ from
            `retrieval`; null for none.
        load_checkpoint: path of a trained model, whose weights initialise the first training; null
            for none.
        ablations: variants of `retrieval`.
    """

    encoder: str | None = None
    retrieval: IsotropicTrainingParameters
    pretraining: IsotropicTrainingParameters | None = None
    load_checkpoint: Path | None = None
    ablations: AblationParameters = AblationParameters()

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, raw: Any) -> Any:
        """Complete the pre-training and each variant by the parameters of `retrieval`."""
        if not isinstance(raw, dict) or not isinstance(raw.get("retrieval"), dict):
            return raw
        retrieval = raw["retrieval"]
        try:
            IsotropicTrainingParameters.model_validate(retrieval)
        except InputError:  # its errors are reported once, not again for each variant
            return {"retrieval": retrieval}
        whole = dict(raw)
        if raw.get("pretraining") is not None:
            whole["pretraining"] = merge(retrieval, raw["pretraining"])
        ablations = raw.get("ablations")
        if isinstance(ablations, dict) and isinstance(ablations.get("variants"), dict):
            variants = merge_each(retrieval, ablations["variants"])
            whole["ablations"] = ablations | {"variants": variants}
        return whole

    @model_validator(mode="after")
    def _retrieval_can_start_from_pretraining(self) -> Self:
        """Check before hours of pre-training, not after them."""
        first, second = self.pretraining, self.retrieval
        if first is None:
            return self
        if second.freeze_base and not first.freeze_base:
            raise ValueError("pretraining trains its base, so retrieval needs freeze_base: false")
        for key in ("kind", "output_dim", "hidden_size"):
            if getattr(first.projection, key) != getattr(second.projection, key):
                raise ValueError(f"pretraining.projection.{key} differs from retrieval's")
        return self

    @model_validator(mode="after")
    def _variants_share_the_data(self) -> Self:
        for name, variant in self.ablations.chosen().items():
            if not variant.freeze_base:
                raise ValueError(
                    f"ablations.variants.{name}: only with freeze_base: true; or give only: []"
                )
            if variant.hard_negatives != self.retrieval.hard_negatives:
                raise ValueError(
                    f"ablations.variants.{name}: all variants share retrieval.hard_negatives"
                )
        return self

    def trainings(self) -> Mapping[Stage, IsotropicTrainingParameters]:
        """The trainings by stage, in their order."""
        retrieval: dict[Stage, IsotropicTrainingParameters] = {"retrieval": self.retrieval}
        return {"pretraining": self.pretraining, **retrieval} if self.pretraining else retrieval
