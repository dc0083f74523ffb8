"""A pre-training of the resource encoder, and what it reads, as a file."""

import json
from pathlib import Path
from typing import Any

import torch

from embedlab.encoders.parameters import LanguageModelSource
from embedlab.resource_encoder.parameters import ResourceTrainingParameters
from embedlab.resource_encoder.samples import DescribedConfigs
from embedlab.resource_encoder.training import ResourceData, train_resource_encoder
from embedlab.training.job import Job
from embedlab.training.loop import History

DATA = "data.json"


class ResourceEncoderJob(Job[ResourceData, ResourceTrainingParameters]):
    """A pre-training of the resource encoder."""

    kind = "resource_encoder"
    parameters_type = ResourceTrainingParameters

    def train(self) -> tuple[dict[str, Any], History]:
        """Train as one of the processes."""
        return train_resource_encoder(
            self.data, self.parameters, self.checkpoint, self.log, self.name
        )

    def write_data(self, folder: Path) -> None:
        """Write where the LLM is, and all texts and values."""
        content = {
            "language_model": self.data.language_model.model_dump(mode="json"),
            "tool_descriptions": list(self.data.tool_descriptions),
            "samples": self.data.samples.content,
            "configs": self.data.configs.content,
        }
        (folder / DATA).write_text(json.dumps(content), encoding="utf-8")

    @staticmethod
    def read_data(folder: Path) -> ResourceData:
        """Read what `write_data` has written."""
        content = json.loads((folder / DATA).read_text(encoding="utf-8"))
        return ResourceData(
            LanguageModelSource.model_validate(content["language_model"]),
            content["tool_descriptions"],
            _described(content["samples"]),
            _described(content["configs"]),
        )


def _described(content: dict[str, Any]) -> DescribedConfigs:
    tools, values = torch.tensor(content["tools"]), torch.tensor(content["values"])
    return DescribedConfigs(tools, values, content["wordings"], content["texts"])
