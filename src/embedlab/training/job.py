"""A training that several processes can take part in, and its folder, which they read."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, ClassVar, Generic, TypeVar

from embedlab.files import replacing_folder
from embedlab.parameters import Parameters
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.loop import History
from embedlab.training.step_log import StepLog

DataT = TypeVar("DataT")
ParametersT = TypeVar("ParametersT", bound=Parameters)

# The `kind` in a job's settings.json, and its class.
KINDS = {
    "isotropic": "embedlab.isotropic.job:IsotropicJob",
    "resource_encoder": "embedlab.resource_encoder.job:ResourceEncoderJob",
}
SETTINGS = "settings.json"


@dataclass(frozen=True)
class Job(ABC, Generic[DataT, ParametersT]):
    """All that a training needs.

    Attributes:
        name: for progress bars.
        data: what it reads.
        parameters: how it goes.
        checkpoint: where it goes on after it was stopped, and where its result is.
        log: takes its losses.
    """

    kind: ClassVar[str]
    parameters_type: ClassVar[type[Parameters]]

    name: str
    data: DataT
    parameters: ParametersT
    checkpoint: Checkpoint
    log: StepLog | None = None

    @abstractmethod
    def train(self) -> tuple[dict[str, Any], History]:
        """Train as one of the processes; a finished training only gives its result."""

    @abstractmethod
    def write_data(self, folder: Path) -> None:
        """Write the data to files of this folder."""

    @staticmethod
    @abstractmethod
    def read_data(folder: Path) -> DataT:
        """Read what `write_data` has written."""

    def save(self, folder: Path) -> None:
        """Write all to a folder."""
        settings = {
            "kind": self.kind,
            "name": self.name,
            "parameters": self.parameters.model_dump(mode="json"),
            "checkpoint": [str(self.checkpoint.path), self.checkpoint.fingerprint],
            "log": self.log and self.log.settings,
        }
        with replacing_folder(folder) as fresh:
            (fresh / SETTINGS).write_text(json.dumps(settings), encoding="utf-8")
            self.write_data(fresh)


def load_job(folder: Path) -> Job[Any, Any]:
    """Read the job of any of `KINDS` that its `save` has written."""
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    kind: type[Job[Any, Any]] = resolve_name(KINDS[settings["kind"]])
    path, fingerprint = settings["checkpoint"]
    log = settings["log"]
    return kind(
        settings["name"],
        kind.read_data(folder),
        kind.parameters_type.model_validate(settings["parameters"]),
        Checkpoint(Path(path), fingerprint),
        log and StepLog.from_settings(log),
    )
