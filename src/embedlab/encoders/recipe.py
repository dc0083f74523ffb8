"""Everything that determines an encoder's vectors, and the fingerprint of it."""

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
    Backend,
    ExecutionParameters,
    ModelParameters,
    Role,
    SentenceTransformerParameters,
)
from embedlab.errors import InputError

# Raise this number when a change of our code changes the vectors of the same model.
FORMAT = 2

SETTINGS = "config_sentence_transformers.json"

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Recipe:
    """How texts of one role become vectors; known without loading weights.

    Attributes:
        files: None for an encoder without weights.
        precision: the floating-point type of the forward pass.
        backend: the library that computes it.
    """

    parameters: AnyEncoder
    role: Role
    files: ModelFiles | None
    precision: Precision
    backend: Backend = "torch"

    @property
    def torch_dtype(self) -> torch.dtype:
        """The type of the parameters in torch; another library converts them itself."""
        dtype: torch.dtype = getattr(torch, self.precision)
        return dtype if self.backend == "torch" else torch.float32

    @property
    def model(self) -> str:
        """The model's name in the parameters; the kind of an encoder without weights."""
        return str(getattr(self.parameters, "model", self.parameters.kind))

    @cached_property
    def prompt(self) -> str:
        """The text that is put before each text."""
        if self.files is None or not isinstance(self.parameters, ModelParameters):
            return ""
        prompts: Any = self.parameters.prompts
        if prompts is None:
            prompts = self._own_settings.get("prompts") or {}
        prompt = prompts.get(self.role) or "" if isinstance(prompts, dict) else None
        if not isinstance(prompt, str):
            reason = f"prompts.{self.role} is no text; set the encoder's `prompts`"
            raise InputError(f"{self.files.folder / SETTINGS}: {reason}")
        return prompt

    @property
    def similarity(self) -> str | None:
        """How the model says that vectors are compared; None if it does not say."""
        own: str | None = self._own_settings.get("similarity_fn_name")
        return own

    @cached_property
    def _own_settings(self) -> dict[str, Any]:
        """The settings of a sentence-transformers model; empty where there are none."""
        if self.files is None:
            return {}
        # As sentence-transformers does: without modules.json they are not read.
        path, modules = (self.files.folder / name for name in (SETTINGS, "modules.json"))
        return _read_json(path) if path.is_file() and modules.is_file() else {}

    @cached_property
    def description(self) -> dict[str, Any]:
        """What the fingerprint covers: whatever changes vectors changes this."""
        kind = {"format": FORMAT, "kind": self.parameters.kind, "stored_dtype": "float32"}
        if self.files is None or not isinstance(self.parameters, ModelParameters):
            return kind | {"model": self.model} | self.parameters.model_dump(exclude={"kind"})
        if isinstance(self.parameters, SentenceTransformerParameters):
            kind |= {"role": self.role}  # a model may have a route for each
        if self.backend != "torch":
            kind |= {"backend": self.backend}
        return kind | {
            # Names the model independently of the path of its folder.
            "version": self.files.version,
            "gguf_file": self.files.gguf_file,
            "trust_remote_code": self.parameters.trust_remote_code,
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
    """Find an encoder's files, and choose its precision on this machine.

    Raises:
        InputError: if the model is not found, or its weights do not have the expected hash.
    """
    if isinstance(encoder, ModelParameters):
        precision = compute_precision(execution.precision)
        return Recipe(encoder, role, find_model(encoder), precision, execution.backend)
    return Recipe(encoder, role, None, "float32")


def compute_precision(wanted: Literal["auto", Precision]) -> Precision:
    """Resolve `auto`: bfloat16 where the processor computes it natively, else float32."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # oneDNN emulates bfloat16 on older processors, at a third of the speed of float32.
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if native else "float32"


def _pooling(parameters: ModelParameters, folder: Path) -> str:
    """How token vectors are pooled: information for readers, since the version determines it."""
    if not isinstance(parameters, SentenceTransformerParameters):
        return "mean"
    pooled = []
    for path in sorted(folder.rglob("*_Pooling/config.json")):
        config = _read_json(path)
        modes = [key.removeprefix("pooling_mode_") for key, on in config.items() if on is True]
        pooled.append(str(config.get("pooling_mode") or "+".join(modes)))
    return ", ".join(pooled) or "as sentence-transformers does by default"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); get the model again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: no JSON object; get the model again")
    return content
