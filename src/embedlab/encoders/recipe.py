"""All that determines an encoder's vectors, and its fingerprint."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from embedlab.encoders.model_files import ModelFiles, find_model
from embedlab.encoders.parameters import (
    AnyEncoder,
    ExecutionParameters,
    HashingParameters,
    ModelParameters,
    Role,
    SentenceTransformerParameters,
)
from embedlab.errors import InputError

# To be raised whenever our own code comes to give other vectors from the same model.
FORMAT = 1

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Recipe:
    """How texts of one role become vectors: known before any weight is loaded.

    Attributes:
        parameters: the encoder's parameters.
        role: whether the texts are queries or documents.
        files: the model's files; none for the hashing encoder.
        precision: the type that the forward pass computes in.
    """

    parameters: AnyEncoder
    role: Role
    files: ModelFiles | None
    precision: Precision

    @property
    def model(self) -> str:
        """The model as the parameters name it."""
        if isinstance(self.parameters, HashingParameters):
            return "hashing"
        return self.parameters.model

    @cached_property
    def prompt(self) -> str:
        """The text put before each text."""
        if isinstance(self.parameters, HashingParameters):
            return ""
        if self.parameters.prompts is not None:
            return self.parameters.prompts.get(self.role, "")
        assert self.files is not None
        return _own_prompt(self.files.folder, self.role)

    @cached_property
    def description(self) -> dict[str, Any]:
        """What the fingerprint covers: a change in any of it makes other vectors."""
        common = {
            "format": FORMAT,
            "kind": self.parameters.kind,
            "stored_dtype": "float32",
        }
        if isinstance(self.parameters, HashingParameters):
            return common | {"model": "hashing", "dimension": self.parameters.dimension}
        assert self.files is not None
        return common | {
            # The files' version says which model; a folder's path would not survive a move.
            "version": self.files.version,
            "gguf_file": self.files.gguf_file,
            "pooling": _pooling(self.parameters, self.files.folder),
            "prompt": self.prompt,
            "max_length": self.parameters.max_length,
            "normalize": self.parameters.normalize,
            "compute_dtype": self.precision,
        }

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the description, in hexadecimal digits."""
        canonical = json.dumps(self.description, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


def make_recipe(encoder: AnyEncoder, role: Role, execution: ExecutionParameters) -> Recipe:
    """Settle the files and the precision of an encoder on this machine.

    Raises:
        InputError: if the model cannot be found, or is not the one asked for.
    """
    if isinstance(encoder, ModelParameters):
        return Recipe(encoder, role, find_model(encoder), compute_precision(execution.precision))
    return Recipe(encoder, role, None, "float32")


def compute_precision(wanted: Literal["auto", "float32", "bfloat16"]) -> Precision:
    """Settle `auto`: bfloat16 where the processor computes it natively, else float32."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # oneDNN also emulates bfloat16 on older processors, at a third of float32's speed.
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if native else "float32"


def _own_prompt(folder: Path, role: Role) -> str:
    """The prompt that the model's authors set for a role, found as sentence-transformers does."""
    path = folder / "config_sentence_transformers.json"
    if not path.is_file():
        return ""
    prompts = _read_json(path).get("prompts") or {}
    return str(prompts.get(role, ""))


def _pooling(parameters: ModelParameters, folder: Path) -> str:
    """How token vectors become one vector, for people to read; the version pins it already."""
    if not isinstance(parameters, SentenceTransformerParameters):
        return "mean"
    for path in sorted(folder.glob("*_Pooling/config.json")):
        config = _read_json(path)
        modes = [key.removeprefix("pooling_mode_") for key, on in config.items() if on is True]
        return str(config.get("pooling_mode") or "+".join(modes))
    return "mean"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); get the model again") from error
    return content
