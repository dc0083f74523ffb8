"""Tiny sentence-transformers models of every shape, of random weights."""

from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    StaticEmbedding,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

from embedlab.encoders.embed import load_encoder
from embedlab.encoders.parameters import EncoderParameters, ExecutionParameters
from embedlab.encoders.recipe import make_recipe

WORDS = ["the", "a", "cat", "dog", "mat", "sat", "ran", "on", "and", "query", "passage", ":"]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
PROMPTS = {"query": "query : ", "document": "passage : the "}
WIDTH = 16
SHAPE = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": len(SPECIAL) + len(WORDS),
    "initializer_range": 0.5,
    "pad_token_id": 1,
}
CHAT = "{% for m in messages %}<s> {{ m['role'] }} : {{ m['content'] }} </s>{% endfor %}"


def tiny_tokenizer(words=WORDS, **options):
    """A tokenizer of words in this order, with a token before and one after a text."""
    tokens = {token: i for i, token in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordLevel(tokens, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names | options)


def transformer_folder(folder, family="bert", seed=0, tokenizer=None, **changes):
    """Write a transformer and its tokenizer as transformers does."""
    config, model = {
        "bert": (BertConfig, BertModel),
        "roberta": (RobertaConfig, RobertaModel),
        "llama": (LlamaConfig, LlamaModel),
    }[family]
    torch.manual_seed(seed)
    model(config(**{"max_position_embeddings": 66} | SHAPE | changes)).save_pretrained(folder)
    (tokenizer or tiny_tokenizer()).save_pretrained(folder)
    return folder


def tower(folder, pooling="mean", max_length=None, include_prompt=True, **options):
    """The modules of a transformer with pooling."""
    transformer_folder(folder, **options)
    options = {"processor_kwargs": {"model_max_length": max_length}} if max_length else {}
    module = Transformer(str(folder), **options)
    return [module, Pooling(WIDTH, pooling, include_prompt=include_prompt)]


def dense(size, seed=0):
    torch.manual_seed(seed)
    return Dense(WIDTH, size)


def static(width=WIDTH):
    torch.manual_seed(0)
    return StaticEmbedding(tiny_tokenizer(), embedding_dim=width)


def _llama(folder, **options):
    tokenizer = tiny_tokenizer(padding_side="left", **options)
    return tower(folder, "lasttoken", family="llama", tokenizer=tokenizer)


def _two_towers(folder):
    """Encoders of other words, lengths and weights; the document's maps to the query's size."""
    other = tiny_tokenizer(WORDS[::-1])
    queries = tower(folder / "query", max_length=12)
    documents = tower(folder / "document", "cls", 40, seed=1, tokenizer=other)
    return [Router.for_query_document(queries, [*documents, dense(WIDTH)]), Normalize()]


def _routes_at_the_end(folder):
    return [*tower(folder), Router.for_query_document([dense(8)], [dense(8, seed=1)])]


def _static_queries(folder):
    return [Router.for_query_document([static()], tower(folder))]


# The modules that are written in a folder, and other arguments of the model.
SHAPES = {
    "mean": (tower, {}),
    "several poolings": (lambda f: tower(f, ("cls", "max", "weightedmean", "lasttoken")), {}),
    "dense, normalised": (lambda f: [*tower(f), dense(8), Normalize()], {}),
    "prompts": (tower, {"prompts": PROMPTS}),
    "prompts, of which one by default": (
        tower,
        {"prompts": PROMPTS | {"document": ""}, "default_prompt_name": "query"},
    ),
    "prompts that are not pooled": (
        lambda f: tower(f, include_prompt=False),
        {"prompts": PROMPTS},
    ),
    "short": (lambda f: tower(f, max_length=9), {"prompts": PROMPTS}),
    "truncated vectors": (lambda f: [*tower(f), Normalize()], {"truncate_dim": 5}),
    "positions after padding": (lambda f: tower(f, family="roberta", max_length=64), {}),
    "last token, padding on the left": (_llama, {"prompts": PROMPTS}),
    "chat template": (lambda f: _llama(f, chat_template=CHAT), {"prompts": PROMPTS}),
    "static": (lambda _: [static()], {"prompts": PROMPTS}),
    "two towers": (_two_towers, {"prompts": PROMPTS}),
    "two towers, static for queries": (_static_queries, {}),
    "two routes after one tower": (_routes_at_the_end, {"prompts": PROMPTS}),
}


def save_shape(name, folder: Path) -> Path:
    """Write the model of this name to a folder."""
    make, options = SHAPES[name]
    model = SentenceTransformer(modules=make(folder / "parts"), device="cpu", **options)
    model.save(str(folder / "model"), create_model_card=False)
    return folder / "model"


def recipe_of(folder, role="document", precision="float32", **changes):
    """The recipe of a sentence-transformers model with its own vectors, unless told otherwise."""
    entry = {"kind": "sentence_transformer", "model": str(folder), "normalize": False} | changes
    execution = ExecutionParameters(precision=precision)
    return make_recipe(EncoderParameters.model_validate(entry).root, role, execution)


def encode(recipe, texts, tokens_per_batch=256):
    """The vectors of texts, in their order."""
    vectors = {}
    for indices, batch in load_encoder(recipe, "cpu", tokens_per_batch).encode(texts):
        vectors.update(zip(indices, batch, strict=True))
    return np.array([vectors[index] for index in range(len(texts))])
