"""The resource encoder: vectors of tools and of resources, their fusion, and its logs."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from synthetic_language_models import HIDDEN_SIZE, NUM_HEADS, PROMPT, loaded, tiny_language_model
from torch import Tensor

from embedlab.encoders.parameters import LanguageModelSource
from embedlab.errors import InputError
from embedlab.resource_encoder.configs import default_tool_configs
from embedlab.resource_encoder.encoder import (
    PeriodicFeatures,
    ResourceEncoder,
    ResourceEncoderParameters,
    ResourceMLP,
)
from embedlab.resource_encoder.language_model import LanguageModel
from embedlab.resource_encoder.prompt import VectorPrompt
from embedlab.resource_encoder.samples import AugmentationParameters, DescribedConfigs, augment
from embedlab.resource_encoder.tools import default_tool_registry
from embedlab.resource_encoder.training import (
    INSTRUCTIONS,
    DescriptionLosses,
    ResourceData,
    ResourceTrainingParameters,
    load_resource_encoder,
    new_encoder,
    represent,
    train_resource_encoder,
)
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.step_log import StepLog

REGISTRY = default_tool_registry()
DESCRIPTIONS = REGISTRY["description"].tolist()
CONFIGS = default_tool_configs(REGISTRY, seed=0)[::50].reset_index(drop=True)
KINDS = ("mean_embedding", "last_hidden_state")
FUSIONS = ("self_attention", "gated_cross_attention")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_language_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def language_model(folder: Path) -> LanguageModel:
    return loaded(folder)


@pytest.fixture(scope="module")
def data(folder: Path) -> ResourceData:
    rows = augment(CONFIGS, AugmentationParameters(num_copies=2), 0)
    samples, configs = (
        DescribedConfigs.from_table(table, REGISTRY["tool_name"].tolist())
        for table in (rows, rows[: len(CONFIGS)])
    )
    return ResourceData(LanguageModelSource(model=str(folder)), DESCRIPTIONS, samples, configs)


def shape(**changes: Any) -> ResourceEncoderParameters:
    small = {"num_heads": 4, "frequencies": 3, "mlp_size": 16}
    return ResourceEncoderParameters.model_validate(small | changes)


def encoder_of(
    language_model: LanguageModel, data: ResourceData, **changes: Any
) -> ResourceEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return new_encoder(language_model, data, shape(**changes))


def inputs(data: ResourceData) -> tuple[Tensor, Tensor]:
    return data.configs.tools, data.configs.values


def losses_of(
    language_model: LanguageModel, data: ResourceData, encoder: ResourceEncoder
) -> Callable[[], dict[str, Tensor]]:
    prompt = VectorPrompt(language_model, PROMPT, INSTRUCTIONS)
    losses = DescriptionLosses(encoder, prompt, data.samples)
    return lambda: losses(encoder, torch.arange(12), 0)


def take_steps(losses: Callable[[], dict[str, Tensor]], encoder: ResourceEncoder, n: int) -> None:
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.01)
    for _ in range(n):
        optimizer.zero_grad()
        losses()["loss"].backward()
        optimizer.step()


def count_calls(language_model: LanguageModel) -> list[object]:
    """Grows by one with every forward pass of the model."""
    calls: list[object] = []
    language_model.model.register_forward_pre_hook(lambda *_: calls.append(1))
    return calls


def test_a_language_model_of_too_few_positions_is_told_in_one_line(
    data: ResourceData, tmp_path: Path
) -> None:
    short = loaded(tiny_language_model(tmp_path, architecture="gpt2", n_positions=24))
    message = "has [0-9]+ tokens, of which the model reads 24; shorten the text or take another"
    with pytest.raises(InputError, match=f"^language model: the prompt with .* {message}"):
        losses_of(short, data, encoder_of(short, data, tool_representation="mean_embedding"))
    with pytest.raises(InputError, match=f"^language model: the description of a tool {message}"):
        represent(short, DESCRIPTIONS, "last_hidden_state")


# The whole.


@pytest.mark.parametrize("fusion", FUSIONS)
def test_vectors_have_the_mean_norm_of_the_input_embeddings(
    language_model: LanguageModel, data: ResourceData, fusion: str
) -> None:
    encoder = encoder_of(language_model, data, fusion=fusion)
    take_steps(losses_of(language_model, data, encoder), encoder, 2)
    table = language_model.embedding.weight.numpy()
    mean_norm = np.linalg.norm(table.astype(np.float64), axis=1).mean()
    vectors = encoder(*inputs(data))
    assert vectors.shape == (len(CONFIGS), HIDDEN_SIZE)
    np.testing.assert_allclose(vectors.norm(dim=1).detach(), mean_norm, rtol=1e-5)
    assert torch.pdist(vectors).min() > 1e-3


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_saved_encoder_gives_the_same_vectors(
    language_model: LanguageModel, data: ResourceData, fusion: str
) -> None:
    encoder = encoder_of(language_model, data, fusion=fusion, num_heads=2)
    take_steps(losses_of(language_model, data, encoder), encoder, 2)
    parameters = {"encoder": shape(fusion=fusion, num_heads=None).model_dump(mode="json")}
    content = {"encoder": encoder.state_dict(), "num_heads": 2, "parameters": parameters}
    again = load_resource_encoder(content)
    assert not again.training
    assert torch.equal(again(*inputs(data)), encoder(*inputs(data)))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_heads_that_do_not_divide_the_hidden_size_are_refused(
    language_model: LanguageModel, data: ResourceData, fusion: str
) -> None:
    with pytest.raises(InputError) as error:
        encoder_of(language_model, data, fusion=fusion, num_heads=5)
    assert "\n" not in str(error.value)
    assert f"num_heads: the LLM's hidden size {HIDDEN_SIZE} is no multiple of 5" in str(error.value)


@pytest.mark.parametrize(("given", "expected"), [(None, NUM_HEADS), (8, 8)])
def test_num_heads_defaults_to_that_of_the_llm(
    language_model: LanguageModel, data: ResourceData, given: int | None, expected: int
) -> None:
    encoder = encoder_of(language_model, data, num_heads=given)
    assert encoder.num_heads == encoder.fusion.attention.num_heads == expected


# Resources.


def test_values_are_standardised_by_the_configurations(
    language_model: LanguageModel, data: ResourceData
) -> None:
    mlp = encoder_of(language_model, data).resource_mlp
    fitted = mlp.standardise
    values = data.configs.values.double().numpy()
    np.testing.assert_allclose(fitted.mean, values.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(fitted.deviation, values.std(axis=0), rtol=1e-5)
    assert not np.allclose(fitted.mean, data.samples.values.mean(dim=0), rtol=1e-5)

    seen: list[Tensor] = []
    mlp.layers.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    mlp(data.configs.values)
    np.testing.assert_allclose(seen[0].mean(dim=0), 0, atol=1e-5)
    np.testing.assert_allclose(seen[0].std(dim=0, correction=0), 1, rtol=1e-5)


def test_a_column_of_one_value_is_zero_for_all() -> None:
    mlp = ResourceMLP(HIDDEN_SIZE, shape())
    values = torch.randn(20, 6)
    values[:, 2] = 7.0
    mlp.standardise.fit(values)
    seen: list[Tensor] = []
    mlp.layers.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    assert mlp(values).isfinite().all()
    assert (seen[0][:, 2] == 0).all()
    assert (seen[0][:, [0, 1, 3, 4, 5]] != 0).any(dim=0).all()


def test_periodic_features_are_each_value_with_its_sines_and_cosines() -> None:
    features, x = PeriodicFeatures(2, 3, max_frequency=0.5), torch.randn(4, 2)
    for row, found in zip(x, features(x), strict=True):
        turns = [
            2 * math.pi * float(frequency) * float(value)
            for value, frequencies in zip(row, features.frequencies.detach(), strict=True)
            for frequency in frequencies
        ]
        expected = [*row.tolist(), *map(math.sin, turns), *map(math.cos, turns)]
        np.testing.assert_allclose(found.detach(), expected, atol=1e-5)
    # From the lowest to the highest one, each twice the last.
    assert features.frequencies.tolist() == [[0.125, 0.25, 0.5]] * 2


# Tools.


def test_a_tool_as_the_mean_of_its_input_embeddings(language_model: LanguageModel) -> None:
    calls = count_calls(language_model)
    found = represent(language_model, DESCRIPTIONS, "mean_embedding")
    for text, vector in zip(DESCRIPTIONS, found, strict=True):
        ids = language_model.tokenizer(text)["input_ids"]
        expected = sum(language_model.embedding.weight[token] for token in ids) / len(ids)
        torch.testing.assert_close(vector, expected)
    assert calls == []


def test_a_tool_as_the_last_hidden_state_of_its_last_token(language_model: LanguageModel) -> None:
    calls = count_calls(language_model)
    found = represent(language_model, DESCRIPTIONS, "last_hidden_state")
    assert len(calls) == len(DESCRIPTIONS)
    for text, vector in zip(DESCRIPTIONS, found, strict=True):
        given = language_model.tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            # What the head makes logits of.
            states = language_model.model.base_model(**given).last_hidden_state
        torch.testing.assert_close(vector, states[0, -1])


@pytest.mark.parametrize(("kind", "passes"), [*zip(KINDS, (0, len(DESCRIPTIONS)), strict=True)])
def test_tools_go_through_the_llm_once_and_never_in_training(
    language_model: LanguageModel, data: ResourceData, kind: str, passes: int
) -> None:
    calls = count_calls(language_model)
    encoder = encoder_of(language_model, data, tool_representation=kind)
    assert len(calls) == passes
    take_steps(losses_of(language_model, data, encoder), encoder, 3)
    assert len(calls) == passes + 3 + 1  # the batches, and the prefix once
    other = next(name for name in KINDS if name != kind)
    assert not torch.allclose(
        encoder.tools, encoder_of(language_model, data, tool_representation=other).tools, atol=0.1
    )


@pytest.mark.parametrize("kind", KINDS)
def test_tool_representations_are_frozen_and_the_rest_is_trained(
    language_model: LanguageModel, data: ResourceData, kind: str
) -> None:
    encoder = encoder_of(language_model, data, tool_representation=kind)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    take_steps(losses_of(language_model, data, encoder), encoder, 2)
    assert not encoder.tools.requires_grad
    statistics = {f"resource_mlp.standardise.{name}" for name in ("mean", "deviation")}
    frozen = {"tools", "norm"} | statistics
    same = {name for name, tensor in encoder.state_dict().items() if tensor.equal(before[name])}
    assert same == frozen
    assert all(parameter.grad is None for parameter in language_model.model.parameters())


# Fusion.


def test_a_closed_gate_ignores_the_tool_until_training_opens_it(
    language_model: LanguageModel, data: ResourceData
) -> None:
    encoder = encoder_of(language_model, data, fusion="gated_cross_attention")
    tools, values = inputs(data)
    losses = losses_of(language_model, data, encoder)
    assert losses()["gate"].item() == 0
    assert torch.equal(encoder(tools, values), encoder((tools + 1) % 7, values))
    take_steps(losses, encoder, 3)
    assert losses()["gate"].item() != 0
    assert losses()["gate"].item() == pytest.approx(math.tanh(encoder.fusion.opening.item()))
    changes = (encoder(tools, values) - encoder((tools + 1) % 7, values)).norm(dim=1)
    assert (changes > 1e-4).all()


def test_with_self_attention_the_tool_matters_from_the_start(
    language_model: LanguageModel, data: ResourceData
) -> None:
    encoder = encoder_of(language_model, data)
    tools, values = inputs(data)
    assert ((encoder(tools, values) - encoder((tools + 1) % 7, values)).norm(dim=1) > 0.01).all()
    assert "gate" not in losses_of(language_model, data, encoder)()


def test_training_logs_the_gate_as_it_opens(data: ResourceData, tmp_path: Path) -> None:
    parameters = ResourceTrainingParameters(
        prompt=PROMPT,
        encoder=shape(fusion="gated_cross_attention"),
        training={"max_epochs": 2, "batch_size": 16, "learning_rate": 0.01},
    )
    path = tmp_path / "log.jsonl"
    train_resource_encoder(data, parameters, Checkpoint(tmp_path / "a.pt", ""), StepLog(path))
    rows = list(map(json.loads, path.read_text().splitlines()))
    gates = [row["gate"] for row in rows if "gate" in row]
    assert len(gates) == 2 * -(-len(data.samples) // 16)
    assert gates[0] == 0
    assert all(gates[1:])
