"""Parameters of the rnd pipeline."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from embedlab.errors import InputError
from embedlab.novelty.training import ExperimentParameters
from embedlab.parameters import Parameters, merge_each

# Names become parts of catalog entries and of paths.
ExperimentName = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_-]+$")]


class RNDParameters(Parameters):
    """The experiments to run, and their evaluation.

    Attributes:
        baseline: settings of every experiment, unless it overrides them.
        experiments: by name, the settings that differ from the baseline.
        only: names of the experiments to run; null for all.
        num_neighbours: k of the k-NN detector.
    """

    baseline: ExperimentParameters = ExperimentParameters()
    experiments: dict[ExperimentName, ExperimentParameters] = Field(min_length=1)
    only: tuple[str, ...] | None = Field(None, min_length=1)
    num_neighbours: int = Field(10, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, raw: Any) -> Any:
        """Complete the settings of each experiment with those of the baseline."""
        if not isinstance(raw, dict) or not isinstance(raw.get("experiments"), dict):
            return raw
        baseline = raw.get("baseline") or {}
        try:  # so that the error names the baseline, and not every experiment
            ExperimentParameters.model_validate(baseline)
        except InputError as error:
            raise ValueError(f"baseline: {error}") from error
        return raw | {"experiments": merge_each(baseline, raw["experiments"])}

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        if unknown := sorted(set(self.only or ()) - set(self.experiments)):
            known = ", ".join(self.experiments)
            raise ValueError(f"only: no experiment is called {unknown[0]}; there are {known}")
        return self

    def named(self, encoders: Sequence[str]) -> dict[str, ExperimentParameters]:
        """The experiments to run, each with its encoder.

        An experiment without an encoder is run with each of `encoders`, as `<name>_<encoder>`.

        Raises:
            ValueError: if two experiments would have the same name.
        """
        named: dict[str, ExperimentParameters] = {}
        for name, experiment in self.experiments.items():
            if self.only is not None and name not in self.only:
                continue
            fixed = experiment.encoder_name
            for encoder in encoders if fixed is None else [fixed]:
                full = f"{name}_{encoder}" if fixed is None else name
                if full in named:
                    raise ValueError(f"rnd: two experiments would be called {full}; rename one")
                named[full] = experiment.model_copy(update={"encoder_name": encoder})
        return named

    def of_vectors(self, encoder: str, collection: str) -> dict[str, ExperimentParameters]:
        """The experiments to run on the vectors `{encoder}.{collection}`, by name."""
        vectors = (encoder, collection)
        named = self.named([encoder]).items()
        return {name: e for name, e in named if (e.encoder_name, e.collection) == vectors}
