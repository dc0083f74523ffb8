"""A language model that gets a vector in place of one token of a prompt, and decodes a text."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from embedlab.errors import InputError
from embedlab.resource_encoder.language_model import LanguageModel

if TYPE_CHECKING:
    from transformers import Cache

PLACEHOLDER = "<|resource|>"
INSTRUCTION = "{instruction}"
IGNORED = -100


@dataclass(frozen=True)
class VectorPrompt:
    """A prompt in which a vector replaces the input embedding of one token.

    Attributes:
        prompt: text with `PLACEHOLDER` in the vector's place, and `INSTRUCTION` after it.
        instructions: one for each wording of the text to decode.
        caches_prefix: compute the keys and values of the tokens before the vector only once.

    Raises:
        InputError: if `check_prompt` refuses the prompt.
    """

    language_model: LanguageModel
    prompt: str
    instructions: Sequence[str]
    caches_prefix: bool = True

    def __post_init__(self) -> None:
        check_prompt(self.prompt)

    @cached_property
    def prefix(self) -> list[int]:
        """The tokens before the vector."""
        text = self.prompt.partition(PLACEHOLDER)[0]
        return self.language_model.token_ids(text, special=True)

    @cached_property
    def suffixes(self) -> list[list[int]]:
        """The tokens between the vector and the text to decode, for each instruction."""
        text = self.prompt.partition(PLACEHOLDER)[2]
        texts = [text.replace(INSTRUCTION, instruction) for instruction in self.instructions]
        return list(map(self.language_model.token_ids, texts))

    def target(self, text: str) -> list[int]:
        """The tokens to decode: those of the text, and the end-of-text token."""
        end: Any = self.language_model.tokenizer.eos_token_id
        return [*self.language_model.token_ids(text), end]

    def num_tokens(self, target: Sequence[int]) -> int:
        """The length of the prompt, in its longest wording, with the tokens to decode."""
        return len(self.prefix) + 1 + max(map(len, self.suffixes)) + len(target)

    def losses(
        self, vectors: Tensor, wordings: Sequence[int], targets: Sequence[list[int]]
    ) -> Tensor:
        """The mean cross-entropy over the tokens of each text, in nats per token.

        Shape:
            - vectors: `(b, h)`; wordings (indices of instructions) and targets: length b
            - output: `(b,)`
        """
        device = self.language_model.device
        suffixes = [self.suffixes[wording] for wording in wordings]
        pairs = list(zip(suffixes, targets, strict=True))
        ids = _padded([[*suffix, *target] for suffix, target in pairs], 0).to(device)
        ignored = [[*[IGNORED] * len(suffix), *target] for suffix, target in pairs]
        labels = _padded(ignored, IGNORED).to(device)
        first = min(map(len, suffixes))
        embedded = torch.cat([self._as_embeddings(vectors), self._embed(ids)], dim=1)
        # The position before a token predicts it; the last one predicts nothing.
        logits = self._logits(embedded, ids.shape[1] - first + 1)[:, :-1]
        labels = labels[:, first:]
        losses = cross_entropy(
            logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none"
        ).view(labels.shape)
        return losses.sum(dim=1) / (labels != IGNORED).sum(dim=1)

    @torch.no_grad()
    def decode(self, vectors: Tensor, wording: int, max_tokens: int) -> list[str]:
        """Decode a text from each vector `(b, h)` greedily, whatever the model's own settings."""
        before, after = (
            self._embed(torch.tensor([ids] * len(vectors), dtype=torch.long, device=vectors.device))
            for ids in (self.prefix, self.suffixes[wording])
        )
        embedded = torch.cat([before, self._as_embeddings(vectors), after], dim=1)
        tokenizer = self.language_model.tokenizer
        model: Any = self.language_model.model
        written = model.generate(
            inputs_embeds=embedded,
            attention_mask=embedded.new_ones(embedded.shape[:2], dtype=torch.long),
            max_new_tokens=max_tokens,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            repetition_penalty=1.0,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id,
        )
        return tokenizer.batch_decode(written, skip_special_tokens=True)

    def _logits(self, embedded: Tensor, kept: int) -> Tensor:
        """The logits `(b, kept, V)` at the last positions of `embedded` (b, 1 + L, h)."""
        caches = copy.deepcopy(self._prefix_caches)
        for cache in caches.values():
            cache.batch_repeat_interleave(len(embedded))
        if self.prefix and not caches:
            prefix = self._embed(torch.tensor([self.prefix], device=embedded.device))
            embedded = torch.cat([prefix.expand(len(embedded), -1, -1), embedded], dim=1)
        options = {"logits_to_keep": kept, "use_cache": bool(caches)} | caches
        logits: Tensor = self.language_model.model(inputs_embeds=embedded, **options).logits
        return logits

    @cached_property
    def _prefix_caches(self) -> dict[str, "Cache"]:
        """The prefix's keys and values by the name of the argument that takes them.

        Models return a cache under that name, which depends on the release of transformers. Empty
        without a prefix to cache, or if the cache cannot be repeated for a batch, as recurrent
        states cannot.
        """
        if not (self.prefix and self.caches_prefix):
            return {}
        # Imported late: slow, and most runs need no language model.
        from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

        ids = torch.tensor([self.prefix], device=self.language_model.device)
        with torch.no_grad():
            output = self.language_model.model(input_ids=ids, use_cache=True, logits_to_keep=1)
        caches = {name: value for name, value in output.items() if isinstance(value, Cache)}
        layers = {type(layer) for cache in caches.values() for layer in cache.layers}
        return caches if layers <= {DynamicLayer, DynamicSlidingWindowLayer} else {}

    def _embed(self, ids: Tensor) -> Tensor:
        embedded: Tensor = self.language_model.embedding(ids)
        return embedded

    def _as_embeddings(self, vectors: Tensor) -> Tensor:
        """The vectors `(b, h)` as the embeddings of one token each, `(b, 1, h)`."""
        return vectors.to(self.language_model.embedding.weight.dtype).unsqueeze(1)


def check_prompt(prompt: str) -> str:
    """Return a prompt that has `PLACEHOLDER` and then `INSTRUCTION`, once each.

    Raises:
        InputError: for any other prompt.
    """
    if (count := prompt.count(PLACEHOLDER)) != 1:
        fault = f"marks the vector's place but occurs {count} times in the prompt; write it once"
        raise InputError(f"{PLACEHOLDER} {fault}")
    if [part.count(INSTRUCTION) for part in prompt.split(PLACEHOLDER)] != [0, 1]:
        rule = f"must occur once in the prompt, after {PLACEHOLDER}"
        raise InputError(f"{INSTRUCTION}, which asks for a wording, {rule}")
    return prompt


def _padded(rows: Sequence[list[int]], value: int) -> Tensor:
    """Rows padded on the right, `(b, L)`."""
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)
