"""Any sentence-transformers model of texts as an encoder, with the vectors that it gives itself."""

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from embedlab.encoders.batching import TokenIds
from embedlab.encoders.parameters import ModelParameters, Role
from embedlab.encoders.text_length import bounded_length
from embedlab.encoders.transformer import TransformerEncoder
from embedlab.errors import InputError

logger = logging.getLogger(__name__)

# Texts that the model's own tokenisation pads to the longest of them, so they should be few.
TOKENIZED_TOGETHER = 64


class SentenceTransformerEncoder(TransformerEncoder):
    """A sentence-transformers model: its own tokenisation, pooling, further modules and routes."""

    model: SentenceTransformer

    def load(self, folder: str, options: dict[str, Any]) -> SentenceTransformer:
        """Load all the modules that the folder lists, and bound the texts of those that read."""
        model = SentenceTransformer(folder, device="cpu", **options)
        for module in reading_modules(model):
            _bound_texts(module, self.parameters)
        reader = _reading_module(model, self.recipe.role)
        is_static = isinstance(reader, StaticEmbedding)
        self.max_length = sys.maxsize if is_static else int(reader.max_seq_length)
        self.filler = 0 if is_static else int(reader.tokenizer.pad_token_id)
        self.example = self._preprocess(model, ["a"])
        if self.parameters.normalize and model.similarity_fn_name != "cosine":
            self._warn_of_lost_lengths(model)
        return model

    def tokenize(self, texts: Sequence[str]) -> list[TokenIds]:
        """The tokens of texts as the model's first module finds them."""
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        rows: list[TokenIds] = [[] for _ in texts]
        for start in range(0, len(order), TOKENIZED_TOGETHER):
            indices = order[start : start + TOKENIZED_TOGETHER]
            features = self._preprocess(self.model, [texts[index] for index in indices])
            for index, row in zip(indices, _token_rows(features), strict=True):
                rows[index] = row
        # A transformer needs a token, and without special tokens an empty text has none.
        return rows if "offsets" in self.example else [row or [self.filler] for row in rows]

    def pool(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Run all modules."""
        # What is no tensor does not depend on the text: the prompt's length, the route.
        features = {key: x for key, x in self.example.items() if not isinstance(x, Tensor)}
        if "offsets" in self.example:
            lengths = mask.sum(dim=1)
            features |= {"input_ids": ids[mask.bool()], "offsets": lengths.cumsum(0) - lengths}
        else:
            features |= {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self.example:
            features["token_type_ids"] = torch.zeros_like(ids)
        vectors: Tensor = self.model(features, task=self.recipe.role)["sentence_embedding"]
        return vectors[:, : self.model.truncate_dim]

    def _warn_of_lost_lengths(self, model: SentenceTransformer) -> None:
        if not isinstance(model[-1], Normalize):
            logger.warning(
                "encoder model %s compares vectors by %s: `normalize: false` keeps their lengths",
                *(self.parameters.model, model.similarity_fn_name),
            )

    def _preprocess(self, model: SentenceTransformer, texts: list[str]) -> dict[str, Any]:
        """What `encode_query` or `encode_document` hands to the model's modules."""
        return model.preprocess(texts, prompt=self.recipe.prompt, task=self.recipe.role)


def reading_modules(model: SentenceTransformer) -> list[Any]:
    """The modules that read texts: the first one, or the first one of each route."""
    first = model[0]
    if not isinstance(first, Router):
        return [first]
    routes: Any = first.sub_modules
    return [modules[0] for modules in routes.values()]


def _reading_module(model: SentenceTransformer, role: Role) -> Any:
    """The module that reads the texts of a role."""
    first = model[0]
    if not isinstance(first, Router):
        return first
    routes: Any = first.sub_modules
    return routes[first._resolve_route(task=role, modality="text")][0]


def _bound_texts(module: Any, parameters: ModelParameters) -> None:
    """Make a module cut its texts to the tokens that it can use, or to fewer if so asked."""
    if isinstance(module, StaticEmbedding):
        if parameters.max_length:
            module.tokenizer.enable_truncation(parameters.max_length)
        return
    tokenizer = getattr(module, "tokenizer", None)
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        name = f"encoder model {parameters.model}"
        raise InputError(f"{name}: not a transformer or a static embedding of texts; take one")
    if tokenizer.pad_token is None:  # any token will do: padding is masked
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    module.max_seq_length = bounded_length(parameters, module.max_seq_length, module)
    for own in ("query_length", "document_length"):
        if length := getattr(module, own, None):
            setattr(module, own, min(length, module.max_seq_length))


def _token_rows(features: Mapping[str, Any]) -> list[TokenIds]:
    """The tokens of each text, without padding."""
    ids = features["input_ids"]
    if "offsets" in features:  # of a static embedding: all texts end to end
        return [row.tolist() for row in ids.tensor_split(features["offsets"][1:])]
    mask = features["attention_mask"].bool()
    return [row[kept].tolist() for row, kept in zip(ids, mask, strict=True)]
