"""What a hierarchical decoder starts from: vectors of configurations, and two look-ups."""

import hashlib
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from embedlab.errors import InputError
from embedlab.resource_encoder.tool_configs import COLUMNS

# Numbers that count whole things.
COUNTS = ("cpu_cores", "gpu_sm")


@torch.no_grad()
def encode_configs(encoder: nn.Module, tools: Tensor, values: Tensor, batch_size: int) -> Tensor:
    """The vector of each configuration.

    Args:
        encoder: takes tools `(b,)` and values `(b, 6)`.
        tools: int64 `(n,)`.
        values: float32 `(n, 6)`.
        batch_size: configurations at a time.

    Returns:
        float32 `(n, h)`.
    """
    batches = zip(tools.split(batch_size), values.split(batch_size), strict=True)
    return torch.cat([encoder(*batch) for batch in batches])


def check_provenance(encoder: dict[str, Any], language_model: str, data: str) -> None:
    """Refuse an encoder that another LLM or other data made.

    Args:
        encoder: the content of `pretrained_encoder.pt`.
        language_model: version of the LLM that the parameters name.
        data: hash of the configurations that are to be exported.

    Raises:
        InputError: naming what differs.
    """
    for name, expected in (("language_model", language_model), ("data", data)):
        if encoder.get(name) != expected:
            raise InputError(
                f"pretrained_encoder: its {name.replace('_', ' ')} is another one "
                f"({str(encoder.get(name))[:12]}, expected {expected[:12]}); "
                "run `kedro run --pipelines=encoder_pretrain`"
            )


def encoder_sha256(encoder: dict[str, Any]) -> str:
    """SHA-256 over the names and the bytes of an encoder's weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder["encoder"].items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def config_lookup(configs: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The tool and the resources of each configuration, by its id as text."""
    kinds = dict.fromkeys(COLUMNS[2:], float) | {
        name: int for name in COUNTS if (configs[name] % 1 == 0).all()
    }
    rows: list[dict[str, Any]] = configs.astype(kinds)[list(COLUMNS)].to_dict("records")  # type: ignore[assignment]
    return {str(i): row for i, row in zip(configs["config_id"], rows, strict=True)}


def lookup_table(lookup: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """The configurations of a `config_lookup`, columns tool_name and `RESOURCES`, in its order."""
    return pd.DataFrame.from_dict(lookup, orient="index")


def tool_mask_map(configs: pd.DataFrame, tool_names: list[str]) -> dict[str, list[int]]:
    """The configurations of each tool, in the order of the tools."""
    return {
        name: configs.loc[configs["tool_name"] == name, "config_id"].tolist() for name in tool_names
    }
