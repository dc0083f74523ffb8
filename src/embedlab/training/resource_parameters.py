"""Parameters of the resource encoder's pre-training."""

from typing import Annotated

import torch
from pydantic import AfterValidator, Field

from embedlab.models.resource_encoder import ResourceEncoderParameters
from embedlab.models.vector_prompt import check_prompt
from embedlab.parameters import Parameters, Seed
from embedlab.training.loop_parameters import LoopParameters


class ResourceLoopParameters(LoopParameters):
    """How the encoder is trained.

    Attributes:
        learning_rate: of AdamW.
        target_loss: training stops once the configurations as they are have this mean loss, in
            nats a token; null to go on.
        gradient_checkpointing: compute the LLM's layers anew in the backward pass instead of
            keeping their activations; the prefix then goes through it with every batch.
    """

    max_epochs: int = Field(100, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    target_loss: float | None = Field(0.01, gt=0)
    gradient_checkpointing: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """What the LLM's weights are kept in."""
        dtype: torch.dtype = getattr(torch, self.precision)
        return dtype


class ResourceTrainingParameters(Parameters):
    """All that decides what is trained, but for the data.

    Attributes:
        prompt: what the LLM reads, with the vector's placeholder and the instruction's.
        encoder: the shape of the encoder.
        training: how it is trained.
        seed: of the initialisation and the order.
    """

    prompt: Annotated[str, AfterValidator(check_prompt)]
    encoder: ResourceEncoderParameters = ResourceEncoderParameters()
    training: ResourceLoopParameters = ResourceLoopParameters()
    seed: Seed = 0
