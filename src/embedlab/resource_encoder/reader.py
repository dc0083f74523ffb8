"""Vectors of any configurations, and their descriptions as the frozen LLM decodes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from embedlab.encoders.parameters import LanguageModelSource
from embedlab.resource_encoder.configs import config_tensors
from embedlab.resource_encoder.descriptions import INSTRUCTIONS, write_descriptions
from embedlab.resource_encoder.encoder import ResourceEncoder
from embedlab.resource_encoder.language_model import language_model_version, load_language_model
from embedlab.resource_encoder.prompt import VectorPrompt
from embedlab.resource_encoder.provenance import check_language_model
from embedlab.resource_encoder.training import ResourceTrainingParameters, load_resource_encoder


@dataclass(frozen=True)
class ConfigReader:
    """A pre-trained encoder with the LLM that it was trained with.

    Attributes:
        encoder: on the LLM's device.
        tool_names: the tools that the encoder knows, in its order.
    """

    encoder: ResourceEncoder
    prompt: VectorPrompt
    tool_names: Sequence[str]

    @torch.no_grad()
    def vectors(self, configs: pd.DataFrame) -> Tensor:
        """Encode configurations, in the profile or not: float32 `(n, h)` on the LLM's device.

        Raises:
            InputError: if a tool or an input size is unknown.
        """
        tools, values = config_tensors(configs, self.tool_names)
        device = self.prompt.language_model.device
        vectors: Tensor = self.encoder(tools.to(device), values.to(device))
        return vectors

    def read(self, configs: pd.DataFrame, template: int = 0) -> list[str]:
        """Let the LLM decode a description from each configuration's vector.

        Args:
            configs: columns tool_name and `RESOURCES`; n rows.
            template: index in `TEMPLATES` of the wording that the prompt asks for.

        Raises:
            InputError: if a tool or an input size is unknown.
        """
        # No text may have more tokens than the longest true description.
        max_tokens = max(
            len(self.prompt.target(text)) for text in write_descriptions(configs, template)
        )
        return self.prompt.decode(self.vectors(configs), template, max_tokens)


def load_config_reader(
    content: dict[str, Any], source: LanguageModelSource, device: torch.device
) -> ConfigReader:
    """Load the encoder of a `pretrained_encoder.pt` and its LLM.

    Raises:
        InputError: if the LLM cannot be loaded, or is not the one of the encoder's training.
    """
    check_language_model(content, language_model_version(source))
    parameters = ResourceTrainingParameters.model_validate(content["parameters"])
    language_model = load_language_model(source, parameters.training.precision, device)
    prompt = VectorPrompt(language_model, parameters.prompt, INSTRUCTIONS)
    return ConfigReader(load_resource_encoder(content).to(device), prompt, content["tool_names"])
