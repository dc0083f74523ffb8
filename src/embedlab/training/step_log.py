"""The losses step by step, written while training runs."""

import importlib.util
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from embedlab.errors import InputError
from embedlab.files import replacing


@dataclass(frozen=True)
class StepLog:
    """A JSON lines file that grows step by step, and a TensorBoard folder if one is named.

    Attributes:
        path: the file.
        tensorboard: the folder; None for none.

    Raises:
        InputError: if TensorBoard is wanted and not installed.
    """

    path: Path
    tensorboard: Path | None = None

    def __post_init__(self) -> None:
        if self.tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise InputError('tensorboard is not installed; pip install -e ".[tensorboard]"')

    @property
    def paths(self) -> list[str | None]:
        """Both paths, ready for JSON."""
        return [str(self.path), str(self.tensorboard) if self.tensorboard else None]

    def keep_until(self, step: int) -> None:
        """Drop the rows after a step, which training computes anew from its checkpoint.

        TensorBoard keeps its own; what is computed anew stands there twice, and alike.
        """
        rows = [row for row in self.rows() if row["step"] <= step]
        with replacing(self.path) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def write(self, row: dict[str, float]) -> None:
        """Append one row, which has a `step`."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if self.tensorboard:
            writer, step = self._writer, int(row["step"])
            for name in row.keys() - {"step"}:
                writer.add_scalar(name, row[name], step)
            writer.flush()

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
