"""Vectors of any configurations, and what the frozen LLM reads from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from embedlab.encoders.parameters import LanguageModelSource
from embedlab.resource_encoder.encoder import ResourceEncoder
from embedlab.resource_encoder.export import check_provenance
from embedlab.resource_encoder.language_model import language_model_version, load_language_model
from embedlab.resource_encoder.parameters import ResourceTrainingParameters
from embedlab.resource_encoder.prompt import VectorPrompt
from embedlab.resource_encoder.templates import INSTRUCTIONS, describe
from embedlab.resource_encoder.tool_configs import resource_values, tool_positions
from embedlab.resource_encoder.training import load_resource_encoder


@dataclass(frozen=True)
class ConfigReader:
    """A pre-trained encoder with the LLM that it was trained against.

    Attributes:
        encoder: on the LLM's device.
        prompt: through which the LLM reads a vector.
        tool_names: the tools that the encoder knows, in its order.
    """

    encoder: ResourceEncoder
    prompt: VectorPrompt
    tool_names: Sequence[str]

    @torch.no_grad()
    def vectors(self, configs: pd.DataFrame) -> Tensor:
        """The vector of each configuration, whether or not a table has it.

        Args:
            configs: columns tool_name and `RESOURCES`; n rows.

        Returns:
            float32 `(n, h)`, on the LLM's device.

        Raises:
            InputError: if the encoder does not know a tool.
        """
        tools = tool_positions(configs, self.tool_names)
        device = self.prompt.language_model.device
        values = torch.from_numpy(resource_values(configs)).float().to(device)
        vectors: Tensor = self.encoder(torch.from_numpy(tools).to(device), values)
        return vectors

    def read(self, configs: pd.DataFrame, template: int = 0) -> list[str]:
        """What the LLM writes of each configuration's vector.

        Args:
            configs: columns tool_name and `RESOURCES`; n rows.
            template: the wording that is asked for, a position in `TEMPLATES`.

        Returns:
            n texts, none with more tokens than the longest true description has.

        Raises:
            InputError: if the encoder does not know a tool.
        """
        longest = max(len(self.prompt.target(text)) for text in describe(configs, template))
        return self.prompt.decode(self.vectors(configs), template, longest)


def load_config_reader(
    content: dict[str, Any], source: LanguageModelSource, device: torch.device
) -> ConfigReader:
    """The encoder of a `pretrained_encoder.pt`, with its LLM.

    Raises:
        InputError: if the LLM cannot be loaded, or is not the one of the encoder's training.
    """
    parameters = ResourceTrainingParameters.model_validate(content["parameters"])
    # Any configurations may be read: only the LLM must be the same.
    check_provenance(content, language_model_version(source), content["data"])
    language_model = load_language_model(source, parameters.training.dtype, device)
    prompt = VectorPrompt(language_model, parameters.prompt, INSTRUCTIONS)
    return ConfigReader(load_resource_encoder(content).to(device), prompt, content["tool_names"])
