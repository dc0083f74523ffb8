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
from embedlab.encoders.parameters import CausalLMParameters, SentenceTransformerParameters
from embedlab.encoders.recipe import Recipe
from embedlab.errors import InputError

# Small batches stay in a processor's cache (28 texts of 256 tokens a second on two cores, 24 with
# 16,384 tokens) and leave little to fill up at the end; a GPU wants more work at once.
TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 65536}


class TransformerEncoder(ABC):
    """The part that both kinds share: batching, device, normalisation."""

    def __init__(self, recipe: Recipe, device: str, tokens_per_batch: int | None):
        assert recipe.files is not None
        assert isinstance(recipe.parameters, SentenceTransformerParameters | CausalLMParameters)
        transformers_logging.disable_progress_bar()
        transformers_logging.set_verbosity_error()
        self.recipe = recipe
        self.parameters = recipe.parameters
        self.device = torch.device(device)
        self.tokens_per_batch = tokens_per_batch or TOKENS_PER_BATCH[self.device.type]
        self.options: dict[str, Any] = {
            "trust_remote_code": self.parameters.trust_remote_code,
            "local_files_only": True,
        }
        try:
            self.model, self.tokenizer, self.max_length = self.load(str(recipe.files.folder))
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"encoder model {recipe.files.folder}: cannot load: {reason}"
            ) from error
        self._check_tokenizer()
        self._check_length()
        self.model.eval().to(self.device)
        # Buffers stay as they are: rotary frequencies in bfloat16 lose far positions.
        for parameter in self.model.parameters():
            parameter.data = parameter.data.to(getattr(torch, recipe.precision))

    @abstractmethod
    def load(self, folder: str) -> tuple[torch.nn.Module, Any, int]:
        """Load the model, its tokenizer and the number of tokens that it keeps of a text."""

    @abstractmethod
    def pool(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Turn token ids and mask, both (b, L), into vectors (b, d)."""

    def encode(self, texts: Sequence[str]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Encode texts batch by batch, in an order of the encoder's choice.

        Yields:
            Positions (b,) in `texts`, and their vectors, float32 (b, d).
        """
        for positions, rows, length in fixed_shape_batches(
            texts, self._tokenize, self.tokens_per_batch, self.max_length
        ):
            ids, mask = (torch.from_numpy(a).to(self.device) for a in self._pad(rows, length))
            with torch.inference_mode():
                vectors = self.pool(ids, mask)[: len(positions)].float()
            if self.parameters.normalize:
                vectors = normalize(vectors, dim=1)
            yield positions, vectors.cpu().numpy()

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        prompted = [self.recipe.prompt + text for text in texts]
        tokens: list[list[int]] = self.tokenizer(
            prompted, truncation=True, max_length=self.max_length
        )["input_ids"]
        # Without special tokens an empty text has none at all, and a model needs one.
        return [row or [self._filler] for row in tokens]

    def _pad(self, rows: list[list[int]], length: int) -> tuple[np.ndarray, np.ndarray]:
        return pad(rows, length, self._filler)

    @property
    def _filler(self) -> int:
        """The padding token; a causal model never looks to the right, so any will do."""
        filler: int | None = self.tokenizer.pad_token_id
        return 0 if filler is None else filler

    def _check_tokenizer(self) -> None:
        """Refuse models whose first part is no transformer, such as static embeddings."""
        if not isinstance(self.tokenizer, PreTrainedTokenizerBase):
            raise InputError(f"encoder model {self.parameters.model}: not a transformer; take one")

    def _check_length(self) -> None:
        """Keep no more tokens than the model has positions for."""
        configs = [getattr(module, "config", None) for module in self.model.modules()]
        positions = [n for c in configs if (n := getattr(c, "max_position_embeddings", None))]
        limit = min(positions, default=self.max_length)
        if self.parameters.max_length and self.max_length > limit:
            name = f"encoder model {self.parameters.model}"
            raise InputError(f"{name}: max_length {self.max_length} is above its limit {limit}")
        self.max_length = min(self.max_length, limit)


class SentenceTransformerEncoder(TransformerEncoder):
    """A model as sentence-transformers defines it: its own pooling and further modules."""

    def load(self, folder: str) -> tuple[torch.nn.Module, Any, int]:
        """Load all the modules that the folder lists."""
        model = SentenceTransformer(folder, device="cpu", **self.options)
        limit = self.parameters.max_length or model.max_seq_length or 512
        return model, model.tokenizer, limit

    def pool(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Run the modules one after the other."""
        features: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        if self.recipe.prompt:
            # Some models leave the prompt's tokens out of the pooling.
            features["prompt_length"] = self._prompt_length()
        if "token_type_ids" in self.tokenizer.model_input_names:
            features["token_type_ids"] = torch.zeros_like(ids)
        vectors: Tensor = self.model(features)["sentence_embedding"]
        return vectors

    def _prompt_length(self) -> int:
        """Tokens of the prompt, less the special token that ends it when it stands alone."""
        ids = self.tokenizer(self.recipe.prompt)["input_ids"]
        return len(ids) - (ids[-1] in self.tokenizer.all_special_ids)


class CausalLMEncoder(TransformerEncoder):
    """A causal language model whose last hidden states are averaged over the text's tokens."""

    def load(self, folder: str) -> tuple[torch.nn.Module, Any, int]:
        """Load the model without its language-modelling head, from a folder or a GGUF file."""
        assert self.recipe.files is not None
        options = self.options
        if self.recipe.files.gguf_file:
            options = options | {"gguf_file": self.recipe.files.gguf_file}
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model = AutoModel.from_pretrained(
            folder, **options, dtype=getattr(torch, self.recipe.precision)
        )
        return model, tokenizer, self.parameters.max_length or 512

    def pool(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Average the last hidden states (b, L, d) over the tokens that are not padding."""
        states = self.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        weights = mask.unsqueeze(2).to(torch.float32)  # (b, L, 1)
        total: Tensor = (states.float() * weights).sum(dim=1)
        return total / weights.sum(dim=1)
