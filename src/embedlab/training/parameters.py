"""Parameters of the training loop, and of where it runs."""

from typing import Any, Literal

from pydantic import Field

from embedlab.parameters import Parameters
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.schedule import Schedule
from embedlab.training.step_log import StepLog, WandbParameters


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
    """The training loop of a model with one learning rate.

    Attributes:
        learning_rate: of AdamW.
    """

    max_epochs: int = Field(50, ge=1)
    learning_rate: float = Field(3e-4, gt=0)


class TrainingRunParameters(Parameters):
    """Where a training runs and reports, which does not change its result.

    Attributes:
        devices: processes that train together, each with its share of every batch.
        tensorboard: whether to write the losses to TensorBoard, too.
        wandb: where to write the losses in Weights & Biases; null: nowhere.
    """

    devices: int = Field(1, ge=1)
    tensorboard: bool = False
    wandb: WandbParameters | None = None

    def step_log(self, checkpoint: Checkpoint, config: dict[str, Any]) -> StepLog:
        """The log of a training, beside its checkpoint.

        Raises:
            InputError: as `StepLog` does.
        """
        path = checkpoint.path
        board = path.parent / "tensorboard" / path.stem if self.tensorboard else None
        return StepLog(path.with_suffix(".jsonl"), board, self.wandb, config)
