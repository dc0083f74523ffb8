"""The losses step by step, written while training runs."""

import importlib.util
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from embedlab.errors import InputError
from embedlab.files import replacing
from embedlab.parameters import Parameters

logger = logging.getLogger(__name__)


class WandbParameters(Parameters):
    """Where Weights & Biases keeps the losses; `WANDB_MODE=offline` keeps them on this machine.

    Attributes:
        project: that a training is a run of.
        entity: the user or team that owns the project; null for the default of the account.
    """

    project: str = "embedlab"
    entity: str | None = None


def check_installed(**wanted: Any) -> None:
    """Refuse what is wanted of an extra that is not installed.

    Raises:
        InputError: saying how it is installed.
    """
    for extra, value in wanted.items():
        if value and importlib.util.find_spec(extra) is None:
            raise InputError(f'{extra} is not installed; pip install -e ".[{extra}]"')


@dataclass(frozen=True)
class StepLog:
    """A JSON lines file that grows step by step; TensorBoard and Weights & Biases if wanted.

    Attributes:
        path: the file.
        tensorboard: the folder; None for none.
        wandb: the project; None for none.
        config: what Weights & Biases is told of the training.

    Raises:
        InputError: if TensorBoard or Weights & Biases is wanted and not installed.
    """

    path: Path
    tensorboard: Path | None = None
    wandb: WandbParameters | None = None
    config: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_installed(tensorboard=self.tensorboard, wandb=self.wandb)

    @property
    def settings(self) -> dict[str, Any]:
        """All attributes, ready for JSON."""
        return {
            "path": str(self.path),
            "tensorboard": self.tensorboard and str(self.tensorboard),
            "wandb": self.wandb and self.wandb.model_dump(),
            "config": self.config,
        }

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Self:
        """The log of these `settings`."""
        board, wandb = settings["tensorboard"], settings["wandb"]
        return cls(
            Path(settings["path"]),
            board and Path(board),
            wandb and WandbParameters.model_validate(wandb),
            settings["config"],
        )

    def keep_until(self, step: int) -> None:
        """Drop the rows after a step, which training computes anew from its checkpoint.

        TensorBoard keeps its own; what is computed anew stands there twice, and alike. Weights &
        Biases has it in a run of its own.
        """
        rows = [row for row in self.rows() if row["step"] <= step]
        with replacing(self.path) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def open(self) -> None:
        """Reach Weights & Biases now, and not with the first row.

        Raises:
            InputError: if it cannot be reached, or knows nothing of the user.
        """
        if self.wandb:
            logger.info("Weights & Biases: %s", self._run.dir)

    def write(self, row: dict[str, float]) -> None:
        """Append one row, which has a `step`."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        step = int(row["step"])
        values = {name: value for name, value in row.items() if name != "step"}
        if self.tensorboard:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()
        if self.wandb:
            self._run.log(values, step=step)

    def close(self) -> None:
        """End the run of Weights & Biases, if there is one; the next row begins another."""
        run = vars(self).pop("_run", None)
        if run is not None:
            run.finish()

    def rows(self) -> list[dict[str, float]]:
        """All whole rows: a killed process may leave part of one."""
        if not self.path.is_file():
            return []
        lines = self.path.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]

    @cached_property
    def _writer(self) -> Any:
        # Imported late: an extra, and slow.
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.tensorboard))

    @cached_property
    def _run(self) -> Any:
        import wandb  # late: an extra, and slow

        assert self.wandb is not None
        try:
            return wandb.init(
                project=self.wandb.project,
                entity=self.wandb.entity,
                dir=str(self.path.parent),
                name=self.path.stem,
                config=self.config,
                reinit="create_new",  # another run of this process goes on
            )
        except wandb.Error as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise InputError(f"wandb: {reason}; or set WANDB_MODE=offline") from error
