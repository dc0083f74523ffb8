"""Vectors of any configurations, and the descriptions that a language model decodes from them."""

import pytest
import torch
from synthetic_language_models import PROMPT, loaded, tiny_language_model

from embedlab.encoders.parameters import LanguageModelSource
from embedlab.errors import InputError
from embedlab.resource_encoder.configs import default_tool_configs, resource_values
from embedlab.resource_encoder.descriptions import write_descriptions
from embedlab.resource_encoder.export import encode_configs
from embedlab.resource_encoder.language_model import language_model_version
from embedlab.resource_encoder.reader import load_config_reader
from embedlab.resource_encoder.samples import DescribedConfigs
from embedlab.resource_encoder.tools import default_tool_registry
from embedlab.resource_encoder.training import (
    ResourceData,
    ResourceTrainingParameters,
    load_resource_encoder,
    new_encoder,
)

REGISTRY = default_tool_registry()
CONFIGS = default_tool_configs(REGISTRY, seed=0)
NAMES = REGISTRY["tool_name"].tolist()
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_language_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def content(folder):
    """The content of a `pretrained_encoder.pt` with initial weights."""
    language_model = loaded(folder)
    parameters = ResourceTrainingParameters(prompt=PROMPT)
    described = DescribedConfigs.from_table(CONFIGS.assign(template=0, text=""), NAMES)
    source = LanguageModelSource(model=str(folder))
    data = ResourceData(source, REGISTRY["description"].tolist(), described, described)
    encoder = new_encoder(language_model, data, parameters.encoder)
    return {
        "encoder": encoder.state_dict(),
        "num_heads": encoder.num_heads,
        "parameters": parameters.model_dump(mode="json"),
        "tool_names": NAMES,
        "language_model": language_model_version(source),
        "data": "any",
    }


@pytest.fixture(scope="module")
def reader(content, folder):
    return load_config_reader(content, LanguageModelSource(model=str(folder)), CPU)


def test_rows_in_any_order_have_the_vectors_of_the_export(reader, content):
    tools = torch.arange(len(NAMES)).repeat_interleave(len(CONFIGS) // len(NAMES))
    values = torch.from_numpy(resource_values(CONFIGS)).float()
    weights = encode_configs(load_resource_encoder(content), tools, values, batch_size=500)
    rows = CONFIGS.sample(40, random_state=0)
    torch.testing.assert_close(reader.vectors(rows), weights[rows["config_id"].tolist()])


def test_values_that_are_not_in_the_profile_have_distinct_vectors(reader):
    rows = CONFIGS[:3]
    distances = torch.cdist(reader.vectors(rows.assign(cpu_cores=3)), reader.vectors(CONFIGS))
    assert distances.min() > 0.01 * reader.encoder.norm


@pytest.mark.parametrize("template", [0, 3])
def test_the_model_decodes_each_row_with_the_instruction_of_the_template(reader, template):
    rows = CONFIGS[::300]
    longest = max(len(reader.prompt.target(text)) for text in write_descriptions(rows, template))
    first = reader.prompt.decode(reader.vectors(rows[:1]), template, longest)
    found = reader.read(rows, template)
    assert len(found) == len(rows)
    assert found[:1] == first
    assert found != reader.read(rows, 1)


def test_a_tool_that_the_encoder_does_not_know_is_named(reader):
    with pytest.raises(InputError, match=r"'speech_recognition' is none of image_"):
        reader.vectors(CONFIGS[:2].assign(tool_name=["object_detection", "speech_recognition"]))


def test_another_language_model_is_refused(content, tmp_path):
    other = tiny_language_model(tmp_path / "other", seed=1)
    with pytest.raises(InputError, match="language model differs"):
        load_config_reader(content, LanguageModelSource(model=str(other)), CPU)
