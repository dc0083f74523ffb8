import copy

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from synthetic_encoders import SHAPES, recipe_of, save_shape
from synthetic_retrieval import tiny_bert
from torch.distributed import destroy_process_group, init_process_group
from torch.nn.parallel import DistributedDataParallel

from embedlab.encoders.embed import load_encoder
from embedlab.encoders.parameters import EncoderParameters, ExecutionParameters
from embedlab.encoders.recipe import make_recipe
from embedlab.errors import InputError
from embedlab.isotropic.export import build_sentence_transformer
from embedlab.isotropic.models import parameter_groups
from embedlab.isotropic.parameters import IsotropicTrainingParameters
from embedlab.isotropic.projection import GaussianProjection, ProjectionParameters
from embedlab.isotropic.trainable_encoder import TrainableEncoder, load_base
from embedlab.training.recomputation import recompute_activations

TEXTS = ["a cat", "the dog sat on a mat and the cat ran " * 30, "", "the dog ran on the mat"]
WORDS = ["the", "a", "cat", "dog", "mat", "sat", "ran", "on", "and", "query", ":"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A tiny BERT of four layers with mean pooling and without a normalisation module."""
    folder = tiny_bert(tmp_path_factory.mktemp("bert"), WORDS)
    return {"kind": "sentence_transformer", "model": str(folder), "prompts": {"query": "query : "}}


def encoder_of(parameters):
    return EncoderParameters.model_validate(parameters).root


def model_of(parameters, **projection):
    torch.manual_seed(0)
    base = load_base(encoder_of(parameters))
    width = base.get_embedding_dimension()
    return TrainableEncoder(base, GaussianProjection(width, ProjectionParameters(**projection)))


def cached(parameters, texts, role):
    """What the embedding cache holds of these texts."""
    recipe = make_recipe(encoder_of(parameters), role, ExecutionParameters(precision="float32"))
    vectors = {}
    for positions, batch in load_encoder(recipe, "cpu").encode(texts):
        vectors.update(zip(positions, batch, strict=True))
    return np.array([vectors[i] for i in range(len(texts))])


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("role", ["query", "document"])
def test_at_first_it_gives_the_vectors_of_the_cache(tiny, role, normalize):
    parameters = tiny | {"normalize": normalize, "max_length": 20}
    vectors = model_of(parameters).encode(TEXTS, role)
    assert vectors.dtype == np.float32
    expected = cached(parameters, TEXTS, role)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("role", ["query", "document"])
def test_every_model_is_trained_and_exported_with_its_own_vectors(tmp_path, shape, role):
    folder = save_shape(shape, tmp_path)
    own = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    model = model_of(recipe_of(folder).parameters.model_dump(), output_dim=4).eval()
    expected = model.projection(torch.from_numpy(getattr(own, f"encode_{role}")(TEXTS))).detach()
    np.testing.assert_allclose(model.encode(TEXTS, role), expected, atol=1e-5)
    trained = model(model.tokenize(TEXTS, role))
    np.testing.assert_allclose(trained.detach(), expected, atol=1e-5)

    exported = build_sentence_transformer(model.base, model.projection)
    exported.save(str(tmp_path / "exported"), create_model_card=False)
    loaded = SentenceTransformer(str(tmp_path / "exported"), device="cpu", local_files_only=True)
    np.testing.assert_allclose(getattr(loaded, f"encode_{role}")(TEXTS), expected, atol=1e-5)


def test_both_towers_of_a_model_are_trained(tmp_path):
    folder = save_shape("two towers", tmp_path)
    model = model_of(recipe_of(folder).parameters.model_dump())
    model.freeze_early_layers(1)
    batches = [model.tokenize(TEXTS, role) for role in ("query", "document")]
    model(*batches).square().sum().backward()
    trained = trained_names(model)
    for tower in ("query", "document"):
        layers = {name.split("layer.")[1][0] for name in trained if f"{tower}.0" in name}
        assert layers == {"1"}
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_a_model_without_layers_has_none_to_freeze(tmp_path):
    folder = save_shape("static", tmp_path)
    with pytest.raises(InputError, match=r"^frozen_layers: the model has no transformer; set it"):
        model_of(recipe_of(folder).parameters.model_dump()).freeze_early_layers(1)


def test_the_prompt_is_of_its_role_and_long_texts_are_cut(tiny):
    model = model_of(tiny | {"max_length": 20})
    plain, prompted = (model.tokenize(TEXTS[:1], role) for role in ("document", "query"))
    assert prompted["input_ids"].shape[1] == plain["input_ids"].shape[1] + 2
    assert model.tokenize(TEXTS, "document")["input_ids"].shape == (4, 20)


def test_one_forward_pass_takes_queries_and_documents(tiny):
    model = model_of(tiny).eval()
    batches = [model.tokenize(TEXTS[:2], "query"), model.tokenize(TEXTS, "document")]
    before = copy.deepcopy(batches)
    vectors = model(*batches)
    assert vectors.shape == (6, 16)
    torch.testing.assert_close(vectors, torch.cat([model(batches[0]), model(batches[1])]))
    assert all(batch.keys() == old.keys() for batch, old in zip(batches, before, strict=True))


def test_encoding_leaves_the_mode_as_it_was(tiny):
    model = model_of(tiny, output_dim=5)
    model.train()
    first, second = (model.encode(TEXTS, "query") for _ in range(2))
    assert np.array_equal(first, second)  # no dropout
    assert model.training
    assert model.base.training


def trained_names(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_a_pooler_that_no_vector_depends_on_is_frozen(tiny):
    model = model_of(tiny)
    frozen = {name for name, _ in model.named_parameters()} - trained_names(model)
    assert frozen
    assert all("pooler" in name for name in frozen)


def test_early_layers_are_frozen_and_stay_as_they_are(tiny):
    model = model_of(tiny)
    model.freeze_early_layers(2)
    trained = trained_names(model)
    assert not any(part in name for name in trained for part in ("embeddings", "r.0.", "r.1."))
    assert {name.split(".")[5] for name in trained if "layer." in name} == {"2", "3"}

    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    rates = {"base_learning_rate": 1e-3, "projection_learning_rate": 1e-2}
    groups = parameter_groups(model, IsotropicTrainingParameters(**rates))
    assert [group["lr"] for group in groups] == [1e-3, 1e-2]
    optimizer = torch.optim.SGD(groups)
    model(model.tokenize(TEXTS, "document")).square().sum().backward()
    optimizer.step()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed <= trained
    assert any("layer.2" in name for name in changed)
    assert "projection.output.weight" in changed


def test_freezing_all_layers_is_refused(tiny):
    with pytest.raises(InputError, match=r"^frozen_layers is 4, but the model has 4 layers;"):
        model_of(tiny).freeze_early_layers(4)


def test_gradient_checkpointing_computes_layers_twice_and_the_same_gradient(tiny):
    gradients, calls = [], []
    for checkpointing in (False, True):
        model = model_of(tiny).train()
        if checkpointing:
            recompute_activations(model.base)
        layer = model.base.transformers_model.encoder.layer[1].intermediate
        layer.register_forward_hook(lambda *_, on=checkpointing: calls.append(on))
        torch.manual_seed(1)  # of dropout
        model(model.tokenize(TEXTS, "document")).square().sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert calls == [False, True, True]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_it_trains_under_distributed_data_parallel(tiny, tmp_path):
    init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        model = model_of(tiny)
        replica = DistributedDataParallel(model)
        queries, documents = (model.tokenize(TEXTS, role) for role in ("query", "document"))
        # The second step fails if the first one left a parameter without its gradient.
        for _ in range(2):
            replica(queries, documents).square().sum().backward()
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    finally:
        destroy_process_group()


@pytest.mark.parametrize("parameters", [{"kind": "hashing"}, {"kind": "causal_lm", "model": "x"}])
def test_only_sentence_transformers_are_trained(parameters):
    with pytest.raises(InputError, match=f"^encoder of kind {parameters['kind']}: only a sentence"):
        load_base(encoder_of(parameters))
