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
        min_steps: more passes are made where `max_epochs` come to fewer steps, as they do with few
            configurations; each has much to be learnt, however few they are.
        learning_rate: of AdamW.
        target_loss: training stops once the configurations as they are have this mean loss, in
            nats a token; null to go on.
        gradient_checkpointing: compute the LLM's layers anew in the backward pass instead of
            keeping their activations; the prefix then goes through it with every batch.
    """

    max_epochs: int = Field(100, ge=1)
    min_steps: int = Field(0, ge=0)
    learning_rate: float = Field(1e-4, gt=0)
    target_loss: float | None = Field(0.01, gt=0)
    gradient_checkpointing: bool = False

    def for_samples(self, n_samples: int) -> Self:
        """The same with as many epochs as `min_steps` take."""
        n_batches = -(-n_samples // self.batch_size)
        steps_per_epoch = -(-n_batches // self.accumulation_steps)
        epochs = max(self.max_epochs, -(-self.min_steps // steps_per_epoch))
        return self.model_copy(update={"max_epochs": epochs})

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
