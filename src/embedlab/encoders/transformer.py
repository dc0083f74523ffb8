"""Transformer encoders: sentence-transformers models, and pooled causal language models."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from embedlab.encoders.batching import fixed_shape_batches, pad
from embedlab.encoders.parameters import ModelParameters
from embedlab.encoders.recipe import Recipe
from embedlab.errors import InputError

# Small batches fit a processor's cache (28 texts of 256 tokens per second on two cores, 24 with
# 16,384 tokens) and need few filling rows; a GPU needs more work at once.
TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 65536}


class TransformerEncoder(ABC):
    """Batching, device and normalisation; subclasses load the model and pool its output.

    Raises:
        InputError: if the files hold no loadable transformer, or it reads fewer tokens than asked.
    """

    def __init__(self, recipe: Recipe, device: str, tokens_per_batch: int | None):
        assert recipe.files is not None
        assert isinstance(recipe.parameters, ModelParameters)
        transformers_logging.disable_progress_bar()
        transformers_logging.set_verbosity_error()
        self.recipe = recipe
        self.parameters: ModelParameters = recipe.parameters
        self.device = torch.device(device)
        self.tokens_per_batch = tokens_per_batch or TOKENS_PER_BATCH[self.device.type]
        folder = str(recipe.files.folder)
        options = {"trust_remote_code": self.parameters.trust_remote_code, "local_files_only": True}
        try:
            self.model, self.tokenizer, self.max_length = self.load(folder, options)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"encoder model {folder}: cannot load: {reason}") from error
        self._check_model()
        self.model.eval().to(self.device)
        # Not the buffers: in bfloat16, rotary frequencies lose the precision of far positions.
        for parameter in self.model.parameters():
            parameter.data = parameter.data.to(getattr(torch, recipe.precision))

    @abstractmethod
    def load(self, folder: str, options: dict[str, Any]) -> tuple[torch.nn.Module, Any, int]:
        """Load the model, its tokenizer and the upper bound on a text's tokens."""

    @abstractmethod
    def pool(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Compute one vector per text.

        Shape:
            - ids: token ids `(b, L)`.
            - mask: `(b, L)`, 1 for tokens and 0 for padding.
            - Output: `(b, d)`.
        """

    def encode(self, texts: Sequence[str]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield the indices of b texts of similar length and their vectors, float32 `(b, d)`."""
        for indices, rows, length in fixed_shape_batches(
            texts, self._tokenize, self.tokens_per_batch, self.max_length
        ):
            padded = pad(rows, length, self._filler)
            ids, mask = (torch.from_numpy(array).to(self.device) for array in padded)
            with torch.inference_mode():
                vectors = self.pool(ids, mask)[: len(indices)].float()
            if self.parameters.normalize:
                vectors = normalize(vectors, dim=1)
            yield indices, vectors.cpu().numpy()

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        prompted = [self.recipe.prompt + text for text in texts]
        tokens = self.tokenizer(prompted, truncation=True, max_length=self.max_length)
        # A model needs a token, and without special tokens an empty text has none.
        return [row or [self._filler] for row in tokens["input_ids"]]

    @property
    def _filler(self) -> int:
        """The padding token, or any: a causal model's tokens do not attend to the right."""
        return int(self.tokenizer.pad_token_id or 0)

    def _check_model(self) -> None:
        """Refuse models without a tokenizer, such as static embeddings; bound a text's tokens."""
        name = f"encoder model {self.parameters.model}"
        if not isinstance(self.tokenizer, PreTrainedTokenizerBase):
            raise InputError(f"{name}: not a transformer; take one")
        configs = [getattr(module, "config", None) for module in self.model.modules()]
        positions = [n for c in configs if (n := getattr(c, "max_position_embeddings", None))]
        limit = min(positions, default=self.max_length)
        if self.parameters.max_length and self.max_length > limit:
            raise InputError(f"{name}: max_length {self.max_length} is above its limit {limit}")
        self.max_length = min(self.max_length, limit)


class SentenceTransformerEncoder(TransformerEncoder):
    """A sentence-transformers model with its own pooling and further modules."""

    def load(self, folder: str, options: dict[str, Any]) -> tuple[torch.nn.Module, Any, int]:
        """Load all the modules that the folder lists."""
        model = SentenceTransformer(folder, device="cpu", **options)
        return model, model.tokenizer, self.parameters.max_length or model.max_seq_length or 512

    def pool(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Run all modules."""
        features: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        if self.recipe.prompt:
            # Some models exclude the prompt's tokens from pooling; the last one may be special.
            prompt = self.tokenizer(self.recipe.prompt)["input_ids"]
            is_special = prompt[-1] in self.tokenizer.all_special_ids
            features["prompt_length"] = len(prompt) - is_special
        if "token_type_ids" in self.tokenizer.model_input_names:
            features["token_type_ids"] = torch.zeros_like(ids)
        vectors: Tensor = self.model(features)["sentence_embedding"]
        return vectors


class CausalLMEncoder(TransformerEncoder):
    """A causal language model whose last hidden states are averaged over the text's tokens."""

    def load(self, folder: str, options: dict[str, Any]) -> tuple[torch.nn.Module, Any, int]:
        """Load the model without its language-modelling head, from a folder or a GGUF file."""
        assert self.recipe.files is not None
        if self.recipe.files.gguf_file:
            options = options | {"gguf_file": self.recipe.files.gguf_file}
        dtype = getattr(torch, self.recipe.precision)
        model = AutoModel.from_pretrained(folder, **options, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        return model, tokenizer, self.parameters.max_length or 512

    def pool(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Average the last hidden states `(b, L, d)` over the tokens that are not padding."""
        states = self.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        weights = mask.unsqueeze(2).to(torch.float32)  # (b, L, 1)
        total: Tensor = (states.float() * weights).sum(dim=1)
        return total / weights.sum(dim=1)
