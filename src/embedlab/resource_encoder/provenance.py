"""Hashes of an encoder and of its data, and the check of its language model."""

import hashlib
import json
from typing import Any

import pandas as pd

from embedlab.errors import InputError
from embedlab.resource_encoder.configs import resource_values

REMEDY = "run `kedro run --pipelines=encoder_pretrain`"


def configs_sha256(registry: pd.DataFrame, configs: pd.DataFrame) -> str:
    """SHA-256 of tools and configurations in their order, whatever dtype their numbers have."""
    tools = registry[["tool_name", "description"]].to_numpy().tolist()
    names = configs[["config_id", "tool_name"]].to_numpy().tolist()
    content = json.dumps([tools, names, resource_values(configs).tolist()])
    return hashlib.sha256(content.encode()).hexdigest()


def encoder_sha256(encoder: dict[str, Any]) -> str:
    """SHA-256 of the weights in a `pretrained_encoder.pt`, with their names, dtypes and shapes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder["encoder"].items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def check_language_model(encoder: dict[str, Any], version: str) -> None:
    """Refuse an encoder that was trained with another LLM than the one of this version.

    Args:
        encoder: content of `pretrained_encoder.pt`.
        version: as `language_model_version` gives it.

    Raises:
        InputError: if the versions differ.
    """
    trained_with = str(encoder.get("language_model"))
    if trained_with != version:
        raise InputError(
            f"pretrained_encoder: its language model differs ({trained_with[:12]}, expected "
            f"{version[:12]}); {REMEDY}"
        )
