"""Hashes of an encoder and of its data, and checks that artifacts belong together."""

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


def check_provenance(encoder: dict[str, Any], language_model: str, data: str | None = None) -> None:
    """Refuse an encoder that was trained with another LLM or on other configurations.

    Args:
        encoder: content of `pretrained_encoder.pt`.
        language_model: version of the LLM that the parameters name.
        data: `configs_sha256` of the current configurations; None skips this check.

    Raises:
        InputError: naming what differs.
    """
    for name, expected in (("language_model", language_model), ("data", data)):
        if expected is not None and encoder.get(name) != expected:
            raise InputError(
                f"pretrained_encoder: its {name.replace('_', ' ')} differs "
                f"({str(encoder.get(name))[:12]}, expected {expected[:12]}); {REMEDY}"
            )


def check_descriptions(described: pd.DataFrame, registry: pd.DataFrame, sha256: str) -> None:
    """Refuse descriptions of other configurations than those with this `configs_sha256`.

    Raises:
        InputError: if the hashes differ.
    """
    if configs_sha256(registry, described) != sha256:
        raise InputError(f"tool_descriptions: of other configurations; {REMEDY}")
