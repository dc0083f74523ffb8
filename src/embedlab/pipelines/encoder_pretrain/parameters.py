"""Parameters of the encoder_pretrain pipeline."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from embedlab.encoders.parameters import LanguageModelSource
from embedlab.parameters import Parameters
from embedlab.resource_encoder.parameters import ResourceTrainingParameters
from embedlab.resource_encoder.samples import AugmentationParameters
from embedlab.resource_encoder.small_language_model import SmallLanguageModelParameters
from embedlab.training.step_log import WandbParameters


class DecodingParameters(Parameters):
    """How descriptions are decoded from vectors.

    Attributes:
        batch_size: vectors decoded at a time.
    """

    batch_size: int = Field(256, ge=1)


class EncoderPretrainParameters(ResourceTrainingParameters):
    """What the encoder is trained on, against which LLM, and how.

    Attributes:
        tool_registry: a JSON file of tools of your own; null for the seven that ship.
        tool_configs: a CSV file with a profile of them; null for a synthetic one.
        augmentation: of the configurations.
        language_model: the frozen LLM; null for a small one, which is trained here.
        small_language_model: that one's shape and training.
        decoding: of descriptions, for the proof.
        devices: processes that train together, each with its share of every batch.
        tensorboard: write the losses for TensorBoard, too.
        wandb: write them for Weights & Biases, too; null for not.
    """

    tool_registry: str | None = None
    tool_configs: str | None = None
    augmentation: AugmentationParameters = AugmentationParameters()
    language_model: LanguageModelSource | None = None
    small_language_model: SmallLanguageModelParameters = SmallLanguageModelParameters()
    decoding: DecodingParameters = DecodingParameters()
    devices: int = Field(1, ge=1)
    tensorboard: bool = False
    wandb: WandbParameters | None = None

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
        """Where the LLM is: as these parameters say, else the small one's folder."""
        return self.language_model or LanguageModelSource(model=str(small_language_model))

    def training_parameters(self) -> ResourceTrainingParameters:
        """What decides the encoder's weights, given the data and the LLM."""
        names = set(ResourceTrainingParameters.model_fields)
        return ResourceTrainingParameters.model_validate(self.model_dump(include=names))
