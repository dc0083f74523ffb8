"""Parameters of the isotropic_retrieval pipeline."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from embedlab.errors import InputError
from embedlab.isotropic.parameters import IsotropicTrainingParameters
from embedlab.parameters import Parameters, Seed, merge
from embedlab.training.parameters import TrainingRunParameters

Stage = Literal["pretraining", "retrieval"]
# Names become parts of paths.
VariantName = Annotated[str, StringConstraints(pattern="^[a-z0-9_-]+$")]


class AblationParameters(Parameters):
    """Which variants of the training are held against each other.

    Attributes:
        variants: by name, what differs from `retrieval`; none for no ablation.
        seeds: each variant is trained with each.
        max_vectors: vectors whose isotropy is measured, at most.
        n_resamples: bootstrap samples behind each interval, and sign flips of each test.
    """

    variants: dict[VariantName, IsotropicTrainingParameters] = Field(default_factory=dict)
    only: tuple[str, ...] | None = None
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)
    max_vectors: int = Field(10_000, ge=2)
    n_resamples: int = Field(1000, ge=1)

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        if unknown := sorted(set(self.only or ()) - set(self.variants)):
            known = ", ".join(self.variants)
            raise ValueError(f"only: no variant is called {unknown[0]}; there are {known}")
        return self

    def chosen(self) -> dict[str, IsotropicTrainingParameters]:
        """The variants to train."""
        names = self.variants if self.only is None else self.only
        return {name: self.variants[name] for name in names}


class IsotropicRetrievalParameters(TrainingRunParameters):
    """How the projection is trained.

    Attributes:
        encoder: the base; if null, the first one of `embedding_cache.encoders`.
        retrieval: the training on `retrieval_pairs`.
        pretraining: a training before it on `pretraining_pairs`, given by what differs from
            `retrieval`; null for none.
        load_checkpoint: a model file of an earlier training, which the first training goes on
            from; null for none.
        ablations: variants of `retrieval`.
    """

    encoder: str | None = None
    retrieval: IsotropicTrainingParameters
    pretraining: IsotropicTrainingParameters | None = None
    load_checkpoint: str | None = None
    ablations: AblationParameters = AblationParameters()

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, raw: Any) -> Any:
        """Complete the pre-training and each variant by the training on retrieval pairs."""
        if not isinstance(raw, dict) or not isinstance(raw.get("retrieval"), dict):
            return raw
        try:
            IsotropicTrainingParameters.model_validate(raw["retrieval"])
        except InputError:  # to be told once, and not of every variant too
            return {"retrieval": raw["retrieval"]}
        whole = dict(raw)
        if isinstance(raw.get("pretraining"), dict):
            whole["pretraining"] = merge(raw["retrieval"], raw["pretraining"])
        ablations = raw.get("ablations")
        if isinstance(ablations, dict) and isinstance(ablations.get("variants"), dict):
            variants = {
                name: merge(raw["retrieval"], changes or {})
                if isinstance(changes, dict | None)
                else changes
                for name, changes in ablations["variants"].items()
            }
            whole["ablations"] = ablations | {"variants": variants}
        return whole

    @model_validator(mode="after")
    def _pretraining_can_be_gone_on_from(self) -> Self:
        """Known before hours of pre-training, and not after them."""
        first, then = self.pretraining, self.retrieval
        if first is None:
            return self
        if then.freeze_base and not first.freeze_base:
            raise ValueError("pretraining trains its base, so retrieval needs freeze_base: false")
        for key in ("kind", "output_dim", "hidden_size"):
            if getattr(first.projection, key) != getattr(then.projection, key):
                raise ValueError(f"pretraining.projection.{key} is not that of retrieval")
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
        """The trainings in their order."""
        first: dict[Stage, IsotropicTrainingParameters] = {}
        if self.pretraining is not None:
            first["pretraining"] = self.pretraining
        return first | {"retrieval": self.retrieval}
