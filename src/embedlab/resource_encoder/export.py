"""Exported configurations: a vector of each, and look-ups by configuration and by tool."""

from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from embedlab.resource_encoder.configs import CONFIG_COLUMNS, NUMBERS

# Exported as integers if all of them are whole.
COUNTS = ("cpu_cores", "gpu_sm")


@torch.no_grad()
def encode_configs(encoder: nn.Module, tools: Tensor, values: Tensor, batch_size: int) -> Tensor:
    """Encode configurations, `batch_size` at a time.

    Shape:
        - tools: int64 `(n,)`; values: float32 `(n, 6)`
        - output: float32 `(n, h)`
    """
    batches = (torch.split(inputs, batch_size) for inputs in (tools, values))
    return torch.cat([encoder(*batch) for batch in zip(*batches, strict=True)])


def config_lookup(configs: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The tool and the resources of each configuration, by its id as text."""
    whole = [name for name in COUNTS if (configs[name] % 1 == 0).all()]
    table = configs.astype(dict.fromkeys(NUMBERS, float) | dict.fromkeys(whole, int))
    rows: Any = table.set_index("config_id")[list(CONFIG_COLUMNS)].to_dict("index")
    return {str(config_id): row for config_id, row in rows.items()}


def lookup_table(lookup: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """The configurations of a `config_lookup`, in its order: columns tool_name and `RESOURCES`."""
    return pd.DataFrame.from_dict(lookup, orient="index")


def tool_mask_map(configs: pd.DataFrame, tool_names: list[str]) -> dict[str, list[int]]:
    """The ids of each tool's configurations, in the order of `tool_names`.

    Example:
        >>> tool_mask_map(pd.DataFrame({"config_id": [0, 1], "tool_name": ["b", "a"]}), ["a", "b"])
        {'a': [1], 'b': [0]}
    """
    return {
        name: configs.loc[configs["tool_name"] == name, "config_id"].tolist() for name in tool_names
    }
