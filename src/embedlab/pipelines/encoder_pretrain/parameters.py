"""Parameters of the encoder_pretrain pipeline."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from embedlab.encoders.parameters import LanguageModelSource
from embedlab.parameters import Parameters, Seed
from embedlab.resource_encoder.encoder import ResourceEncoderParameters
from embedlab.resource_encoder.prompt import check_prompt
from embedlab.resource_encoder.samples import AugmentationParameters
from embedlab.resource_encoder.small_language_model import SmallLanguageModelParameters
from embedlab.resource_encoder.training import ResourceLoopParameters, ResourceTrainingParameters
from embedlab.training.parameters import TrainingRunParameters


class DecodingParameters(Parameters):
    """Decoding of descriptions from vectors.

    Attributes:
        batch_size: vectors decoded at a time.
    """

    batch_size: int = Field(256, ge=1)


class EncoderPretrainParameters(TrainingRunParameters):
    """Tools, LLM and training of the resource encoder.

    Attributes:
        tool_registry: a JSON file of tools; null for the built-in seven.
        tool_configs: a CSV file of their configurations; null for a synthetic profile.
        language_model: the frozen LLM; null for a small one, which is trained first.
        prompt: text that the LLM reads, with placeholders for vector and instruction.
        training: the training loop of the encoder.
        seed: of configurations, augmentation, initialisation and order.
    """

    tool_registry: Path | None = None
    tool_configs: Path | None = None
    augmentation: AugmentationParameters = AugmentationParameters()
    language_model: LanguageModelSource | None = None
    small_language_model: SmallLanguageModelParameters = SmallLanguageModelParameters()
    prompt: Annotated[str, AfterValidator(check_prompt)]
    encoder: ResourceEncoderParameters = ResourceEncoderParameters()
    training: ResourceLoopParameters = ResourceLoopParameters()
    decoding: DecodingParameters = DecodingParameters()
    seed: Seed = 0

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        small = self.small_language_model
        num_heads = self.encoder.num_heads or small.num_heads
        if self.language_model is None and small.hidden_size % num_heads:
            raise ValueError(
                f"encoder: num_heads: {num_heads} does not divide small_language_model: "
                f"hidden_size: {small.hidden_size}"
            )
        return self

    def language_model_source(self, small_language_model: Path | None) -> LanguageModelSource:
        """The configured LLM, or else the small one in this folder."""
        return self.language_model or LanguageModelSource(model=str(small_language_model))

    @property
    def encoder_training(self) -> ResourceTrainingParameters:
        """What determines the encoder's weights, given the data and the LLM."""
        return ResourceTrainingParameters(
            prompt=self.prompt, encoder=self.encoder, training=self.training, seed=self.seed
        )
