"""The vectors of sentence-transformers models of every shape, and what identifies them."""

import json

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router
from sentence_transformers.sentence_transformer.modules import BoW
from synthetic_encoders import (
    CHAT,
    PROMPTS,
    SHAPES,
    dense,
    encode,
    recipe_of,
    save_shape,
    tiny_tokenizer,
    tower,
    transformer_folder,
)

from embedlab.encoders.embed import load_encoder
from embedlab.errors import InputError

TEXTS = ["the cat sat on a mat", "", "a dog", "the dog ran and " * 40, "cat : unknown words"]
SETTINGS = "config_sentence_transformers.json"

every_shape = pytest.mark.parametrize("shape", SHAPES)
both_roles = pytest.mark.parametrize("role", ["query", "document"])


def own_vectors(folder, role, texts=TEXTS):
    """The vectors that sentence-transformers gives."""
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    return getattr(model, f"encode_{role}")(texts)


@every_shape
@both_roles
def test_vectors_are_those_of_sentence_transformers(tmp_path, shape, role):
    folder = save_shape(shape, tmp_path)
    found = encode(recipe_of(folder, role), TEXTS)
    np.testing.assert_allclose(found, own_vectors(folder, role), atol=1e-5)


@every_shape
def test_vectors_have_the_same_bits_in_any_company(tmp_path, shape):
    recipe = recipe_of(save_shape(shape, tmp_path), "query")
    together = encode(recipe, TEXTS)
    alone = np.concatenate([encode(recipe, [text]) for text in TEXTS])
    assert np.array_equal(together, alone)


@both_roles
def test_a_transformer_without_modules_is_pooled_as_sentence_transformers_does(tmp_path, role):
    tokenizer = tiny_tokenizer(chat_template=CHAT, padding_side="left")
    transformer_folder(tmp_path, "llama", tokenizer=tokenizer, architectures=["LlamaForCausalLM"])
    (tmp_path / SETTINGS).write_text(json.dumps({"prompts": PROMPTS}))  # without effect
    found = encode(recipe_of(tmp_path, role), TEXTS)
    np.testing.assert_allclose(found, own_vectors(tmp_path, role), atol=1e-5)


@both_roles
def test_two_towers_in_bfloat16_stay_close(tmp_path, role):
    folder = save_shape("two towers, static for queries", tmp_path)
    found = encode(recipe_of(folder, role, precision="bfloat16"), TEXTS)
    np.testing.assert_allclose(found, own_vectors(folder, role), atol=0.1)


def test_the_roles_of_a_model_have_fingerprints_of_their_own(tmp_path):
    folder = save_shape("two towers", tmp_path)
    one, other = (recipe_of(folder, role, prompts={}) for role in ("query", "document"))
    assert one.fingerprint != other.fingerprint
    assert one.description["pooling"] == "cls, mean"


@pytest.mark.parametrize("prompts", [None, {"query": None, "document": None}])
@both_roles
def test_a_null_prompt_is_none(tmp_path, prompts, role):
    folder = save_shape("mean", tmp_path)
    expected = own_vectors(folder, role)
    settings = json.loads((folder / SETTINGS).read_text()) | {"prompts": prompts}
    (folder / SETTINGS).write_text(json.dumps(settings))
    recipe = recipe_of(folder, role)
    assert recipe.prompt == ""
    if prompts is not None:  # sentence-transformers takes no null for all of them
        np.testing.assert_allclose(encode(recipe, TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("prompts", [{"query": 3}, ["query: "]])
def test_a_prompt_that_is_no_text_is_named(tmp_path, prompts):
    folder = save_shape("mean", tmp_path)
    (folder / SETTINGS).write_text(json.dumps({"prompts": prompts}))
    with pytest.raises(InputError, match=rf"{SETTINGS}: prompts\.query is no text; set"):
        _ = recipe_of(folder, "query").prompt


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("kind", ["sentence_transformer", "causal_lm"])
def test_texts_are_cut_to_the_positions_that_a_model_can_use(tmp_path, family, kind):
    transformer_folder(tmp_path, family)  # 66 positions; the tokenizer has no limit
    limit = 66 if family == "bert" else 64
    recipe = recipe_of(tmp_path, kind=kind)
    assert load_encoder(recipe, "cpu").max_length == limit
    long, longer = "cat " * (limit - 2), "cat " * limit
    vectors = encode(recipe, [long, longer])
    assert np.isfinite(vectors).all()
    with pytest.raises(InputError, match=f"max_length {limit + 1} is above its limit {limit}$"):
        encode(recipe_of(tmp_path, kind=kind, max_length=limit + 1), ["a"])
    assert encode(recipe_of(tmp_path, kind=kind, max_length=limit), ["a"]).shape == (1, 16)


def test_each_tower_has_its_own_limit(tmp_path):
    router = Router.for_query_document(
        tower(tmp_path / "q", max_position_embeddings=20), tower(tmp_path / "d", family="roberta")
    )
    SentenceTransformer(modules=[router], device="cpu").save(str(tmp_path / "model"))
    for role, limit in (("query", 20), ("document", 64)):
        recipe = recipe_of(tmp_path / "model", role)
        assert load_encoder(recipe, "cpu").max_length == limit
        assert np.isfinite(encode(recipe, ["cat " * 100])).all()


@pytest.mark.parametrize("shape", ["mean", "static", "two towers, static for queries"])
@both_roles
def test_max_length_cuts_texts_of_every_kind(tmp_path, shape, role):
    recipe = recipe_of(save_shape(shape, tmp_path), role, max_length=6)
    long, longer, other = encode(recipe, ["cat " * 6 + end for end in ("", "dog mat", "sat " * 99)])
    assert np.array_equal(long, longer)
    assert np.array_equal(long, other)


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
def test_lengths_that_a_model_compares_by_are_not_lost_without_a_word(tmp_path, similarity, caplog):
    model = SentenceTransformer(modules=tower(tmp_path / "part"), similarity_fn_name=similarity)
    model.save(str(tmp_path / "model"), create_model_card=False)
    for normalize in (True, False):
        recipe = recipe_of(tmp_path / "model", normalize=normalize)
        assert recipe.similarity == similarity
        caplog.clear()
        encode(recipe, ["a cat"])
        warned = f"compares vectors by {similarity}: `normalize: false` keeps" in caplog.text
        assert warned == (normalize and similarity != "cosine")


def test_a_tokenizer_without_a_padding_token_is_no_obstacle(tmp_path):
    tokenizer = tiny_tokenizer(pad_token=None)
    transformer_folder(tmp_path, "llama", tokenizer=tokenizer)
    vectors = encode(recipe_of(tmp_path), TEXTS)
    assert np.array_equal(vectors[:1], encode(recipe_of(tmp_path), TEXTS[:1]))


def test_a_model_that_reads_neither_tokens_nor_texts_is_refused_in_one_line(tmp_path):
    modules = [BoW(["cat", "dog"]), dense(4)]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "model"))
    with pytest.raises(InputError, match="not a transformer or a static embedding of texts"):
        encode(recipe_of(tmp_path / "model"), ["a"])


def test_a_route_that_is_missing_is_told_in_one_line(tmp_path):
    router = Router({"title": tower(tmp_path / "part")})
    SentenceTransformer(modules=[router], device="cpu").save(str(tmp_path / "model"))
    with pytest.raises(InputError, match="cannot load: No route found for task type 'document'"):
        encode(recipe_of(tmp_path / "model"), ["a"])
