"""A causal language model with its tokenizer, as whoever reads through it needs it."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from embedlab.encoders.model_files import ModelFiles, find_model
from embedlab.encoders.parameters import LanguageModelSource
from embedlab.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Of what is predicted, relatively: rounding may differ between the rows of a batch.
CAUSAL_TOLERANCE = 0.01
# Embeddings whose norm is measured at a time.
BLOCK_SIZE = 4096


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model that vectors are read through.

    Attributes:
        model: gives logits.
        tokenizer: its own.
        version: of its files: a commit of the hub, or a hash of their content.
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    version: str

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.model.device
        return device

    @cached_property
    def embeddings(self) -> Tensor:
        """The input embeddings `(V, h)`."""
        table: Any = self.model.get_input_embeddings()
        embeddings: Tensor = table.weight.detach()
        return embeddings

    @property
    def hidden_size(self) -> int:
        """The width h of the input embeddings."""
        return self.embeddings.shape[1]

    @property
    def num_heads(self) -> int:
        """The attention heads of a layer."""
        heads: int = self.model.config.get_text_config().num_attention_heads
        return heads

    @cached_property
    def embedding_norm(self) -> float:
        """The mean Euclidean norm of the input embeddings as the model reads them.

        Some models scale what is in their table.
        """
        table: Any = self.model.get_input_embeddings()
        ids = torch.arange(len(self.embeddings), device=self.device)
        with torch.no_grad():
            norms = [table(block).float().norm(dim=1) for block in ids.split(BLOCK_SIZE)]
        return torch.cat(norms).mean().item()

    def token_ids(self, text: str, special: bool = False) -> list[int]:
        """The tokens of a text; with the special ones that the tokenizer puts around it, if so."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        return ids


def load_language_model(
    source: LanguageModelSource, dtype: torch.dtype, device: torch.device
) -> LanguageModel:
    """Load a frozen model of any architecture that transformers knows as a causal language model.

    Returns:
        The model in `eval` mode; no parameter of it takes a gradient.

    Raises:
        InputError: if there is no such model, or it is damaged or of another kind.
    """
    # Imported late: slow, and most runs need no language model.
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    files = find_model(source)
    options: dict[str, Any] = {
        "trust_remote_code": source.trust_remote_code,
        "local_files_only": True,
    }
    if files.gguf_file:
        options["gguf_file"] = files.gguf_file
    transformers_logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(files.folder, **options)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            files.folder, **options, dtype=dtype, output_loading_info=True
        )
    except Exception as error:  # damaged files raise whatever they happen to run into
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"language model {source.model}: cannot load: {reason}") from error
    model, report = loaded
    if report["missing_keys"]:  # they would be random
        absent = min(report["missing_keys"])
        raise InputError(f"language model {source.model}: has no weights {absent}; get it anew")
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"language model {source.model}: its tokenizer has no token that ends a text; "
            "name one as eos_token in its tokenizer_config.json"
        )
    model = model.eval().requires_grad_(False).to(device)
    if _looks_ahead(model):
        raise InputError(
            f"language model {source.model}: reads what comes after a token, too; give a causal one"
        )
    return LanguageModel(model, tokenizer, _version(files))


@torch.no_grad()
def _looks_ahead(model: "PreTrainedModel") -> bool:
    """Whether another token changes what is predicted before it, as in models for masked words."""
    ids = torch.tensor([[0, 1], [0, 2]], device=model.device)
    output = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    one, other = output.logits[:, 0].float()
    return (one - other).abs().max().item() > CAUSAL_TOLERANCE * one.abs().max().item()


def language_model_version(source: LanguageModelSource) -> str:
    """The version of a model's files, known without loading them."""
    return _version(find_model(source))


def _version(files: ModelFiles) -> str:
    return f"{files.version}/{files.gguf_file}" if files.gguf_file else files.version
