"""Parameters of the training loop."""

from typing import Literal

from pydantic import Field

from embedlab.parameters import Parameters
from embedlab.training.schedule import Schedule


class LoopParameters(Parameters):
    """How a model is trained, but for its learning rates.

    Attributes:
        max_epochs: passes over the data, unless training stops early; 0 only validates.
        batch_size: items of a forward pass, divided among the devices.
        accumulation_steps: forward passes whose gradients make one step.
        weight_decay: of AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101).
        schedule: of the learning rates after the warm-up; linear and cosine end at zero.
        warmup_steps: steps in which the learning rates grow from zero.
        max_gradient_norm: longer gradients are scaled down to this norm; null for none.
        precision: of the forward pass; float16 scales the loss.
        compile: whether torch.compile is used.
        patience: validations without a better one before training stops.
        validation_interval: steps between validations; null for one at the end of each epoch.
        checkpoint_interval: steps between checkpoints, beside those at validations; null for none.
        log_interval: steps between lines of the log.
    """

    max_epochs: int = Field(50, ge=0)
    batch_size: int = Field(256, ge=1)
    accumulation_steps: int = Field(1, ge=1)
    weight_decay: float = Field(0.01, ge=0)
    schedule: Schedule = "constant"
    warmup_steps: int = Field(0, ge=0)
    max_gradient_norm: float | None = Field(None, gt=0)
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    compile: bool = False
    patience: int = Field(3, ge=1)
    validation_interval: int | None = Field(None, ge=1)
    checkpoint_interval: int | None = Field(None, ge=1)
    log_interval: int = Field(1, ge=1)


class TrainingParameters(LoopParameters):
    """How a model of one learning rate is trained.

    Attributes:
        learning_rate: of AdamW.
    """

    max_epochs: int = Field(50, ge=1)
    learning_rate: float = Field(3e-4, gt=0)
