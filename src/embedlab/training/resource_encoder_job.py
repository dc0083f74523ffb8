"""A pre-training of the resource encoder, and its folder, which several processes read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedlab.encoders.parameters import LanguageModelSource
from embedlab.files import replacing_folder
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.described_configs import DescribedConfigs
from embedlab.training.loop import History
from embedlab.training.resource_encoder import ResourceData, train_resource_encoder
from embedlab.training.resource_parameters import ResourceTrainingParameters
from embedlab.training.step_log import StepLog


@dataclass(frozen=True)
class ResourceEncoderJob:
    """All that a pre-training needs.

    Attributes:
        name: for progress bars.
        data: what it reads.
        parameters: how it goes.
        checkpoint: where it goes on after it was stopped, and where its result is.
        log: takes its losses.
    """

    name: str
    data: ResourceData
    parameters: ResourceTrainingParameters
    checkpoint: Checkpoint
    log: StepLog | None = None

    def train(self) -> tuple[dict[str, Any], History]:
        """Train as one of the processes; a finished training only gives its result."""
        return train_resource_encoder(
            self.data, self.parameters, self.checkpoint, self.log, self.name
        )

    def save(self, folder: Path) -> None:
        """Write all to a folder."""
        settings = {
            "kind": "resource_encoder",
            "name": self.name,
            "parameters": self.parameters.model_dump(mode="json"),
            "language_model": self.data.language_model.model_dump(mode="json"),
            "tool_descriptions": list(self.data.tool_descriptions),
            "samples": self.data.samples.content,
            "configs": self.data.configs.content,
            "checkpoint": [str(self.checkpoint.path), self.checkpoint.fingerprint],
            "log": self.log and self.log.settings,
        }
        with replacing_folder(folder) as fresh:
            (fresh / "settings.json").write_text(json.dumps(settings), encoding="utf-8")


def load_job(folder: Path) -> ResourceEncoderJob:
    """Read what `ResourceEncoderJob.save` has written."""
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    data = ResourceData(
        LanguageModelSource.model_validate(settings["language_model"]),
        settings["tool_descriptions"],
        DescribedConfigs.from_content(settings["samples"]),
        DescribedConfigs.from_content(settings["configs"]),
    )
    path, fingerprint = settings["checkpoint"]
    log = settings["log"]
    return ResourceEncoderJob(
        settings["name"],
        data,
        ResourceTrainingParameters.model_validate(settings["parameters"]),
        Checkpoint(Path(path), fingerprint),
        log and StepLog.from_settings(log),
    )
