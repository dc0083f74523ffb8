"""Tiny language models of random weights, as folders that transformers loads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen2Tokenizer,
    RobertaConfig,
    RobertaForMaskedLM,
)

from embedlab.encoders.parameters import LanguageModelSource
from embedlab.resource_encoder.language_model import LanguageModel, load_language_model
from embedlab.resource_encoder.tokenizer import make_tokenizer
from embedlab.resource_encoder.tools import default_tool_registry

HIDDEN_SIZE, NUM_LAYERS, NUM_HEADS = 32, 2, 4
PROMPT = "Configuration of a tool: <|resource|>\n{instruction}\n"
# So large that each decoded token depends on every position before it.
INITIALIZER_RANGE = 0.3


def tiny_tokenizer(prompt: str = PROMPT) -> Qwen2Tokenizer:
    """The small language model's tokenizer for the default tools."""
    return make_tokenizer(prompt, default_tool_registry()["tool_name"].tolist())


def tiny_language_model(
    folder: Path, seed: int = 0, architecture: str = "qwen2", **changes: Any
) -> Path:
    """Save a model and its tokenizer to a folder; returns the folder.

    Args:
        folder: made if it is not there.
        seed: of the weights.
        architecture: one of `CONFIGS`.
        **changes: to its configuration.
    """
    tokenizer = tiny_tokenizer()
    ends = dict.fromkeys(("bos_token_id", "eos_token_id"), tokenizer.eos_token_id)
    options = {"vocab_size": len(tokenizer), "initializer_range": INITIALIZER_RANGE} | ends
    config = CONFIGS[architecture](**options | changes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_masked_model(folder: Path) -> Path:
    """Save a masked language model, which is not causal; returns the folder."""
    tokenizer = tiny_tokenizer()
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN_SIZE,
        intermediate_size=2 * HIDDEN_SIZE,
        num_hidden_layers=NUM_LAYERS,
        num_attention_heads=NUM_HEADS,
        initializer_range=INITIALIZER_RANGE,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        RobertaForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def loaded(folder: Path, dtype: torch.dtype = torch.float32) -> LanguageModel:
    """The model of a folder, on the CPU."""
    return load_language_model(LanguageModelSource(model=str(folder)), dtype, torch.device("cpu"))


def _rotary(config: type[PretrainedConfig]) -> Callable[..., PretrainedConfig]:
    def make(**options: Any) -> PretrainedConfig:
        shape = {
            "hidden_size": HIDDEN_SIZE,
            "intermediate_size": 2 * HIDDEN_SIZE,
            "num_hidden_layers": NUM_LAYERS,
            "num_attention_heads": NUM_HEADS,
            "num_key_value_heads": NUM_HEADS // 2,
            "max_position_embeddings": 512,
            "tie_word_embeddings": True,
        }
        return config(**shape | options)

    return make


def _gpt2(**options: Any) -> PretrainedConfig:
    shape = {"n_embd": HIDDEN_SIZE, "n_layer": NUM_LAYERS, "n_head": NUM_HEADS, "n_positions": 512}
    return GPT2Config(**shape | options)


CONFIGS: dict[str, Callable[..., PretrainedConfig]] = {
    "qwen2": _rotary(Qwen2Config),
    "llama": _rotary(LlamaConfig),
    "gpt2": _gpt2,
}
