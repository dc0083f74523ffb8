"""The log of a training's steps, written while it runs."""

import importlib.util
import json
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from embedlab.errors import InputError
from embedlab.files import replacing
from embedlab.parameters import Parameters

logger = logging.getLogger(__name__)


class WandbParameters(Parameters):
    """Where Weights & Biases stores the losses; with `WANDB_MODE=offline`, on this machine.

    Attributes:
        project: of which each training is one run.
        entity: the user or team that owns the project; null: the account's default.
    """

    project: str = "embedlab"
    entity: str | None = None


def check_installed(**used: Any) -> None:
    """Check that each extra with a true value is installed.

    Raises:
        InputError: with the command that installs the extra.
    """
    for extra, value in used.items():
        if value and importlib.util.find_spec(extra) is None:
            raise InputError(f'{extra} is not installed; pip install -e ".[{extra}]"')


@dataclass(frozen=True)
class StepLog:
    """A JSON lines file with a row per step, optionally copied to TensorBoard or Weights & Biases.

    Attributes:
        tensorboard: TensorBoard's folder; None: not used.
        wandb: the project in Weights & Biases; None: not used.
        config: the training's parameters, shown by Weights & Biases.

    Raises:
        InputError: if TensorBoard or Weights & Biases is used and not installed.
    """

    path: Path
    tensorboard: Path | None = None
    wandb: WandbParameters | None = None
    config: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        check_installed(tensorboard=self.tensorboard, wandb=self.wandb)

    def keep_until(self, step: int) -> None:
        """Drop the rows after a step, which training computes again from its checkpoint.

        TensorBoard then shows equal values twice; Weights & Biases shows them in a new run.
        """
        rows = [row for row in self.rows() if row["step"] <= step]
        with replacing(self.path) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def open(self) -> None:
        """Connect to Weights & Biases now instead of with the first row.

        Raises:
            InputError: if there is no connection or no login.
        """
        if self.wandb:
            logger.info("Weights & Biases: %s", self._run.dir)

    def write(self, row: dict[str, float]) -> None:
        """Append a row with a `step`."""
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
        """End the run in Weights & Biases; another row would begin a new one."""
        run = vars(self).pop("_run", None)
        if run is not None:
            run.finish()

    def rows(self) -> list[dict[str, float]]:
        """All complete rows: the last one of a killed process may be incomplete."""
        if not self.path.is_file():
            return []
        lines = self.path.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]

    @cached_property
    def _writer(self) -> Any:
        # Imported late: slow, and an extra.
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.tensorboard))

    @cached_property
    def _run(self) -> Any:
        import wandb  # late: slow, and an extra

        assert self.wandb is not None
        try:
            return wandb.init(
                project=self.wandb.project,
                entity=self.wandb.entity,
                dir=str(self.path.parent),
                name=self.path.stem,
                config=self.config,
                reinit="create_new",  # leaves other runs of this process open
            )
        except wandb.Error as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise InputError(f"wandb: {reason}; or set WANDB_MODE=offline") from error
