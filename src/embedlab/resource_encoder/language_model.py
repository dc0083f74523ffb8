"""A frozen causal language model with its tokenizer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from embedlab.encoders.model_files import find_model
from embedlab.encoders.parameters import LanguageModelSource
from embedlab.encoders.text_length import num_positions
from embedlab.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Relative difference of logits that counts as rounding, which may differ between rows of a batch.
CAUSAL_TOLERANCE = 0.01
BATCH_SIZE = 4096


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model with its tokenizer."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.model.device

    @property
    def embedding(self) -> nn.Embedding:
        """The layer of input embeddings, whose weight is `(V, h)`."""
        layer: Any = self.model.get_input_embeddings()
        return cast(nn.Embedding, layer)

    @torch.no_grad()
    def embedding_norm(self) -> float:
        """Mean Euclidean norm of the input embeddings, after the scaling that some models apply."""
        ids = torch.arange(len(self.embedding.weight), device=self.device)
        norms = [self.embedding(batch).float().norm(dim=1) for batch in ids.split(BATCH_SIZE)]
        return torch.cat(norms).mean().item()

    def token_ids(self, text: str, special: bool = False) -> list[int]:
        """The tokens of a text; `special` adds those that the tokenizer puts around a text."""
        return cast(list[int], self.tokenizer(text, add_special_tokens=special)["input_ids"])

    def check_length(self, num_tokens: int, noun: str) -> None:
        """Check that the model has positions for so many tokens.

        Raises:
            InputError: if it has fewer.
        """
        if num_tokens > (limit := num_positions(self.model)):
            fault = f"{noun} has {num_tokens} tokens, of which the model reads {limit}"
            raise InputError(f"language model: {fault}; shorten the text or take another model")


def load_language_model(
    source: LanguageModelSource, dtype: str | torch.dtype, device: torch.device
) -> LanguageModel:
    """Load a causal language model of any architecture that transformers supports.

    Returns:
        The model in `eval` mode, without gradients for its parameters.

    Raises:
        InputError: if there is no such model, or it is damaged, incomplete or not causal.
    """
    # Imported late: slow, and most runs need no language model.
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    files, name = find_model(source), f"language model {source.model}"
    options: dict[str, Any] = {"gguf_file": files.gguf_file} if files.gguf_file else {}
    options |= {"trust_remote_code": source.trust_remote_code, "local_files_only": True}
    disable_progress_bar: Any = transformers_logging.disable_progress_bar  # has no type hints
    disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(files.folder, **options)
        options |= {"dtype": dtype, "output_loading_info": True}
        loaded: Any = AutoModelForCausalLM.from_pretrained(files.folder, **options)
    except Exception as error:  # damaged files raise exceptions of any type
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: cannot load: {reason}") from error
    model, report = loaded
    if missing := sorted(report["missing_keys"]):  # transformers initialises them at random
        raise InputError(f"{name}: lacks weights, such as {missing[0]}; download it again")
    if tokenizer.eos_token_id is None:
        remedy = "set eos_token in its tokenizer_config.json"
        raise InputError(f"{name}: its tokenizer has no end-of-text token; {remedy}")
    model = model.eval().requires_grad_(False).to(device)
    if not _is_causal(model):
        remedy = "give a causal language model"
        raise InputError(f"{name}: its predictions depend on later tokens; {remedy}")
    return LanguageModel(model, tokenizer)


@torch.no_grad()
def _is_causal(model: "PreTrainedModel") -> bool:
    """Whether the logits at the first token ignore the second one, unlike in masked models."""
    ids = torch.tensor([[0, 1], [0, 2]], device=model.device)
    output = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    first, second = output.logits[:, 0].float()
    difference = (first - second).abs().max().item()
    return not difference > CAUSAL_TOLERANCE * first.abs().max().item()


def language_model_version(source: LanguageModelSource) -> str:
    """What identifies a model's files, without loading them: a commit or a hash of the content."""
    files = find_model(source)
    return f"{files.version}/{files.gguf_file}" if files.gguf_file else files.version
