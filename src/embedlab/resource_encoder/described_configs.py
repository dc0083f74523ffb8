"""Configurations and their descriptions, as training reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd
import torch
from torch import Tensor

from embedlab.resource_encoder.tool_configs import resource_values, tool_positions


@dataclass(frozen=True)
class DescribedConfigs:
    """Configurations with one description each.

    Attributes:
        tools: positions in the registry, int64 `(n,)`.
        values: the six resources, float32 `(n, 6)`.
        wordings: the template of each description.
        texts: the descriptions.
    """

    tools: Tensor
    values: Tensor
    wordings: Sequence[int]
    texts: Sequence[str]

    @classmethod
    def from_table(cls, rows: pd.DataFrame, tool_names: Sequence[str]) -> Self:
        """The rows of a table with tool_name, the resources, template and text."""
        return cls(
            torch.from_numpy(tool_positions(rows, tool_names)),
            torch.from_numpy(resource_values(rows)).float(),
            rows["template"].tolist(),
            rows["text"].tolist(),
        )

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, positions: Sequence[int]) -> Self:
        """The configurations at these positions."""
        return type(self)(
            self.tools[positions],
            self.values[positions],
            [self.wordings[position] for position in positions],
            [self.texts[position] for position in positions],
        )

    @property
    def content(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "tools": self.tools.tolist(),
            "values": self.values.tolist(),
            "wordings": list(self.wordings),
            "texts": list(self.texts),
        }
