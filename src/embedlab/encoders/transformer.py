"""What encoders of transformers share, and causal language models as encoders."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from embedlab.encoders.batching import TokenIds, fixed_shape_batches, pad
from embedlab.encoders.parameters import ModelParameters
from embedlab.encoders.recipe import Recipe
from embedlab.encoders.text_length import bounded_length
from embedlab.errors import InputError

# Small batches fit a processor's cache (28 texts of 256 tokens per second on two cores, 24 with
# 16,384 tokens) and need few filling rows; a GPU needs more work at once.
TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 65536}


class TransformerEncoder(ABC):
    """Batching, device and normalisation; subclasses load the model, tokenise and pool.

    Attributes:
        max_length: upper bound on the tokens of a text.
        filler: the id of the token that rows are padded with.

    Raises:
        InputError: if the files hold no loadable model, or it reads fewer tokens than asked.
    """

    max_length: int
    filler: int

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
            self.model = self.load(folder, options)
        except InputError:
            raise
        except Exception as error:  # damaged files raise exceptions of any type
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"encoder model {folder}: cannot load: {reason}") from error
        self.model.eval().to(self.device)
        # Not the buffers: in bfloat16, rotary frequencies lose the precision of far positions.
        for parameter in self.model.parameters():
            parameter.data = parameter.data.to(getattr(torch, recipe.precision))

    @abstractmethod
    def load(self, folder: str, options: dict[str, Any]) -> torch.nn.Module:
        """Load the model and what else the other methods need; set the attributes."""

    @abstractmethod
    def tokenize(self, texts: Sequence[str]) -> list[TokenIds]:
        """The tokens of texts after their prompt, at most `max_length` each."""

    @abstractmethod
    def pool(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Compute one vector per text.

        Shape:
            - ids: token ids `(b, L)`.
            - mask: `(b, L)`, 1 for tokens and 0 for padding.
            - Output: `(b, d)`.
        """

    def encode(self, texts: Iterable[str]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield the indices of b texts of similar length and their vectors, float32 `(b, d)`."""
        for indices, rows, length in fixed_shape_batches(
            texts, self.tokenize, self.tokens_per_batch, self.max_length
        ):
            padded = pad(rows, length, self.filler)
            ids, mask = (torch.from_numpy(array).to(self.device) for array in padded)
            with torch.inference_mode():
                vectors = self.pool(ids, mask)[: len(indices)].float()
            if self.parameters.normalize:
                vectors = normalize(vectors, dim=1)
            yield indices, vectors.cpu().numpy()


class CausalLMEncoder(TransformerEncoder):
    """A causal language model whose last hidden states are averaged over the text's tokens."""

    def load(self, folder: str, options: dict[str, Any]) -> torch.nn.Module:
        """Load the model without its language-modelling head, from a folder or a GGUF file."""
        assert self.recipe.files is not None
        if self.recipe.files.gguf_file:
            options = options | {"gguf_file": self.recipe.files.gguf_file}
        dtype = getattr(torch, self.recipe.precision)
        model: torch.nn.Module = AutoModel.from_pretrained(folder, **options, dtype=dtype)
        self.tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        self.max_length = bounded_length(self.parameters, 512, model)
        # Without a padding token, any: a causal model's tokens do not attend to the right.
        self.filler = int(self.tokenizer.pad_token_id or 0)
        return model

    def tokenize(self, texts: Sequence[str]) -> list[TokenIds]:
        """The tokens of texts after their prompt, at least one each."""
        prompted = [self.recipe.prompt + text for text in texts]
        tokens = self.tokenizer(prompted, truncation=True, max_length=self.max_length)
        # A model needs a token, and without special tokens an empty text has none.
        return [row or [self.filler] for row in tokens["input_ids"]]

    def pool(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Average the last hidden states `(b, L, d)` over the tokens that are not padding."""
        states = self.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        weights = mask.unsqueeze(2).to(torch.float32)  # (b, L, 1)
        total: Tensor = (states.float() * weights).sum(dim=1)
        return total / weights.sum(dim=1)
