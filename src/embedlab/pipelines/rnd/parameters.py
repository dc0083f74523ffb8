"""Parameters of the rnd pipeline."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from embedlab.errors import InputError
from embedlab.novelty.training import ExperimentParameters
from embedlab.parameters import Parameters

# Names become parts of catalog entries and of paths.
ExperimentName = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_-]+$")]


class RNDParameters(Parameters):
    """Which experiments are run, and how they are judged.

    Attributes:
        baseline: what every experiment is, but for what it says itself.
        experiments: by name, what differs from the baseline.
        only: names of the experiments to run; null for all.
        n_neighbours: k of the k-NN distance that novelty is held against.
    """

    baseline: ExperimentParameters = ExperimentParameters()
    experiments: dict[ExperimentName, ExperimentParameters] = Field(min_length=1)
    only: tuple[str, ...] | None = Field(None, min_length=1)
    n_neighbours: int = Field(10, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, raw: Any) -> Any:
        """Complete each experiment by the baseline."""
        if not isinstance(raw, dict) or not isinstance(raw.get("experiments"), dict):
            return raw
        baseline = raw.get("baseline") or {}
        try:  # said once, and not of every experiment
            ExperimentParameters.model_validate(baseline)
        except InputError as error:
            raise ValueError(f"baseline: {error}") from error
        experiments = {
            name: baseline | (changes or {}) if isinstance(changes, dict | None) else changes
            for name, changes in raw["experiments"].items()
        }
        return raw | {"experiments": experiments}

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        if unknown := sorted(set(self.only or ()) - set(self.experiments)):
            known = ", ".join(self.experiments)
            raise ValueError(f"only: no experiment is called {unknown[0]}; there are {known}")
        return self

    def named(self, encoders: Sequence[str]) -> dict[str, ExperimentParameters]:
        """The experiments to run, each with its encoder.

        One that names no encoder is run with each of `encoders`, as `<name>_<encoder>`.

        Raises:
            ValueError: if two experiments would have the same name.
        """
        named: dict[str, ExperimentParameters] = {}
        for name, own in self.experiments.items():
            if self.only is not None and name not in self.only:
                continue
            for encoder in encoders if own.encoder_name is None else [own.encoder_name]:
                full = f"{name}_{encoder}" if own.encoder_name is None else name
                if full in named:
                    raise ValueError(f"rnd: two experiments would be called {full}; rename one")
                named[full] = own.model_copy(update={"encoder_name": encoder})
        return named

    def of_vectors(self, encoder: str, collection: str) -> dict[str, ExperimentParameters]:
        """The experiments to run on the vectors `{encoder}.{collection}`, by name."""
        return {
            name: experiment
            for name, experiment in self.named([encoder]).items()
            if (experiment.encoder_name, experiment.collection) == (encoder, collection)
        }
