"""Parameters of the resource encoder's pre-training."""

from typing import Annotated, Self

import torch
from pydantic import AfterValidator, Field

from embedlab.parameters import Parameters, Seed
from embedlab.resource_encoder.encoder import ResourceEncoderParameters
from embedlab.resource_encoder.prompt import check_prompt
from embedlab.training.parameters import LoopParameters


class ResourceLoopParameters(LoopParameters):
    """How the encoder is trained.

    Attributes:
        min_steps: raises `max_epochs` until training has this many steps; a small profile has few
            steps per epoch, yet needs about as many in total.
        learning_rate: of AdamW.
        target_loss: training stops when the mean loss over the configurations, without augmented
            copies, is at most this, in nats per token; null for no target.
        gradient_checkpointing: recompute the LLM's activations in the backward pass instead of
            storing them; the prompt's prefix is then not cached.
    """

    max_epochs: int = Field(100, ge=1)
    min_steps: int = Field(0, ge=0)
    learning_rate: float = Field(1e-4, gt=0)
    target_loss: float | None = Field(0.01, gt=0)
    gradient_checkpointing: bool = False

    def for_samples(self, num_samples: int) -> Self:
        """The parameters, with `max_epochs` raised to as many as `min_steps` take."""
        num_batches = -(-num_samples // self.batch_size)
        steps_per_epoch = -(-num_batches // self.accumulation_steps)
        epochs = max(self.max_epochs, -(-self.min_steps // steps_per_epoch))
        return self.model_copy(update={"max_epochs": epochs})

    @property
    def dtype(self) -> torch.dtype:
        """Data type of the LLM's weights."""
        dtype: torch.dtype = getattr(torch, self.precision)
        return dtype


class ResourceTrainingParameters(Parameters):
    """Everything that determines the trained encoder, except the data and the LLM.

    Attributes:
        prompt: text around the vector, with `<|resource|>` in its place and, after it,
            `{instruction}`.
        encoder: architecture.
        training: how it is trained.
        seed: of the initialisation and the order of samples.
    """

    prompt: Annotated[str, AfterValidator(check_prompt)]
    encoder: ResourceEncoderParameters = ResourceEncoderParameters()
    training: ResourceLoopParameters = ResourceLoopParameters()
    seed: Seed = 0
