"""Parameters of the training loop, and of where it runs."""

import math
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from embedlab.parameters import Parameters
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.step_log import StepLog, WandbParameters

Schedule = Literal["constant", "linear", "cosine"]


class LoopParameters(Parameters):
    """The training loop, without learning rates.

    Attributes:
        max_epochs: passes over the data, unless training stops early; 0 only validates.
        batch_size: items per forward pass, divided among the devices.
        accumulation_steps: forward passes whose gradients are averaged for one step.
        weight_decay: of AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101).
        schedule: of the learning rates after the warm-up; linear and cosine end at zero.
        warmup_steps: steps during which the learning rates grow from zero.
        max_gradient_norm: gradients with a larger norm are scaled down to it; null for no limit.
        precision: of the forward pass; float16 scales the loss.
        compile: whether to use torch.compile.
        patience: training stops after this many validations without a new best score; null: never.
        validation_interval: steps between validations; null: one at the end of each epoch.
        checkpoint_interval: steps between checkpoints, besides those at validations; null: none.
        log_interval: steps between rows of the log.
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
    patience: int | None = Field(3, ge=1)
    validation_interval: int | None = Field(None, ge=1)
    checkpoint_interval: int | None = Field(None, ge=1)
    log_interval: int = Field(1, ge=1)


class TrainingParameters(LoopParameters):
    """The training loop of a model with one learning rate."""

    max_epochs: int = Field(50, ge=1)
    learning_rate: float = Field(3e-4, gt=0)


class TrainingRunParameters(Parameters):
    """Where a training runs and reports, which makes no result stale.

    Several devices sum in another order and draw other units to drop out, as another seed does.

    Attributes:
        devices: processes that train together, each with its share of every batch.
        tensorboard: whether to write the losses to TensorBoard, too.
        wandb: where to write the losses in Weights & Biases; null: nowhere.
    """

    devices: int = Field(1, ge=1)
    tensorboard: bool = False
    wandb: WandbParameters | None = None

    def step_log(self, checkpoint: Checkpoint, config: dict[str, Any]) -> StepLog:
        """The log of a training, beside its checkpoint."""
        path = checkpoint.path
        board = path.parent / "tensorboard" / path.stem if self.tensorboard else None
        return StepLog(path.with_suffix(".jsonl"), board, self.wandb, config)


def learning_rate_factor(
    schedule: Schedule, warmup_steps: int, total_steps: int
) -> Callable[[int], float]:
    """The factor of the learning rate by step, counted from 0.

    It grows linearly to 1 during the warm-up. Then it stays at 1, or decreases to 0 at the last
    step, either linearly or as half a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983,
    equation 5, without restarts).

    Example:
        >>> factor = learning_rate_factor("linear", warmup_steps=1, total_steps=5)
        >>> [factor(step) for step in range(6)]
        [0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
        if schedule == "linear":
            return 1 - done
        return (1 + math.cos(math.pi * done)) / 2 if schedule == "cosine" else 1.0

    return factor
