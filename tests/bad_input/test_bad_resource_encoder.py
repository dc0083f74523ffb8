"""Faulty inputs of the resource encoder, and the one line that each gives."""

import json

import pandas as pd
import pytest
import torch
from faulty_projects import (
    assert_one_line,
    configure,
    truncate,
)
from synthetic_language_models import tiny_language_model, tiny_masked_model

TOOLS = ("--pipelines=encoder_pretrain", "--nodes=load_tools")
PRETRAIN = (
    "--pipelines=encoder_pretrain",
    "--nodes=load_tools,describe_configs,pretrain_encoder",
)
EXPORT = ("--pipelines=encoder_pretrain,weight_export", "--nodes=load_tools,export_weights")
REGISTRY = [
    {"tool_name": "cut", "description": "Parts."},
    {"tool_name": "glue", "description": "Joins."},
]
PROFILE = {
    "tool_name": ["glue", "cut", "glue"],
    "input_size": ["small", "large", "medium"],
    "cpu_cores": [2, 4, 8],
    "memory_gb": [4, 8.5, 16],
    "gpu_sm": [20, 40, 60],
    "gpu_memory_gb": [2, 4, 8],
    "latency_ms": [150, 90.25, 33],
}


def pretraining(spoil=None, **changes):
    """Pre-train on three configurations against a tiny language model; `spoil` changes a file."""

    def prepare(project):
        (project / "tools.json").write_text(json.dumps(REGISTRY))
        pd.DataFrame(PROFILE).to_csv(project / "profile.csv", index=False)
        tiny_language_model(project / "llm")
        files = {"tool_registry": "tools.json", "tool_configs": "profile.csv"}
        model = {"language_model": {"model": "llm"}}
        configure(project, "encoder_pretrain", **files | model | changes)
        if spoil:
            spoil(project)

    return prepare


def profile(**columns):
    """Pre-train on a profile with these columns changed; None takes one off."""
    content = {name: values for name, values in (PROFILE | columns).items() if values}
    return pretraining(
        lambda project: pd.DataFrame(content).to_csv(project / "profile.csv", index=False)
    )


def tools(content):
    return pretraining(lambda project: (project / "tools.json").write_text(content))


def pretrained(content):
    """A pretrained_encoder.pt of this content."""

    def write(project):
        path = project / "data/06_models/resource_encoder/pretrained_encoder.pt"
        path.parent.mkdir(parents=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)

    return pretraining(write)


# The fault, the arguments of `kedro run`, and the message.
CASES = {
    "prompt has no placeholder": (
        pretraining(prompt="Tool:\n{instruction}\n"),
        PRETRAIN,
        r"encoder_pretrain\.prompt: <\|resource\|> .* occurs 0 times in the prompt; write",
    ),
    "prompt has two placeholders": (
        pretraining(prompt="<|resource|> <|resource|>"),
        PRETRAIN,
        r"encoder_pretrain\.prompt: <\|resource\|> .* occurs 2 times in the prompt; write",
    ),
    "fusion is unknown": (
        pretraining(encoder={"fusion": "sum"}),
        PRETRAIN,
        r"encoder_pretrain\.encoder\.fusion: .*'self_attention' or 'gated_cross_attention'",
    ),
    "augmentation has nothing to change": (
        pretraining(augmentation={"mode": "both", "num_copies": 1}),
        PRETRAIN,
        r"encoder_pretrain\.augmentation: num_copies: 1 leaves .* raise it or set mode: none",
    ),
    "language model is out of reach": (
        pretraining(language_model={"model": "nobody/nothing"}),
        PRETRAIN,
        r"language model nobody/nothing: no such path, and the model hub cannot be reached",
    ),
    "language model's folder has no config.json": (
        pretraining(lambda project: (project / "llm/config.json").unlink()),
        PRETRAIN,
        r"language model llm: the folder has no config\.json",
    ),
    "language model's config.json is damaged": (
        pretraining(lambda project: truncate(project / "llm/config.json")),
        PRETRAIN,
        r"language model llm: cannot load: .*config",
    ),
    "language model's config.json is a list": (
        pretraining(lambda project: (project / "llm/config.json").write_text("[1]")),
        PRETRAIN,
        r"language model llm: cannot load: ",
    ),
    "language model reads ahead": (
        pretraining(lambda project: tiny_masked_model(project / "llm")),
        PRETRAIN,
        r"language model llm: its predictions depend on later tokens; give a causal",
    ),
    "heads do not divide the small language model": (
        pretraining(small_language_model={"hidden_size": 40, "num_heads": 8}),
        PRETRAIN,
        r"small_language_model: hidden_size: 40 is no multiple of twice num_heads: 8",
    ),
    "heads do not divide the small language model's size": (
        pretraining(language_model=None, encoder={"num_heads": 5}),
        PRETRAIN,
        r"num_heads: 5 does not divide small_language_model: hidden_size: \d+",
    ),
    "language model's weights are damaged": (
        pretraining(lambda project: truncate(project / "llm/model.safetensors")),
        PRETRAIN,
        r"language model llm: cannot load: ",
    ),
    "heads do not divide the hidden size": (
        pretraining(encoder={"num_heads": 5}),
        PRETRAIN,
        r"num_heads: the LLM's hidden size 32 is no multiple of 5; choose",
    ),
    "tool registry is not JSON": (tools("[{"), TOOLS, r"tools\.json: .*not JSON"),
    "tool stands twice": (
        tools(json.dumps([*REGISTRY, REGISTRY[0]])),
        TOOLS,
        r"tools\.json: item 3: the same tool_name as in tools\.json: item 1 \('cut'\)",
    ),
    "tools are described alike": (
        tools(json.dumps([REGISTRY[0], REGISTRY[0] | {"tool_name": "glue"}])),
        TOOLS,
        r"tools\.json: item 2: the same description as in tools\.json: item 1",
    ),
    "profile lacks a column": (
        profile(gpu_sm=None),
        TOOLS,
        r"profile\.csv: no column gpu_sm; the columns are tool_name, ",
    ),
    "configuration stands twice": (
        profile(**{name: [row[0], row[1], row[0]] for name, row in PROFILE.items()}),
        TOOLS,
        r"profile\.csv:4: the same configuration as in \S*profile\.csv:2",
    ),
    "latency is not positive": (
        profile(latency_ms=[150, 0, 33]),
        TOOLS,
        r"profile\.csv:3: latency_ms is not a positive number \('0'\)",
    ),
    "tool is in the profile only": (
        tools(json.dumps(REGISTRY[:1])),
        TOOLS,
        r"profile\.csv:2: tool_name is not in the tool registry \('glue'\)",
    ),
    "tool is in the registry only": (
        profile(tool_name=["glue"] * 3),
        TOOLS,
        r"profile\.csv: no rows for cut; add them or take the tool off the registry",
    ),
    "pre-trained encoder is damaged": (
        pretrained(b"PK damaged"),
        EXPORT,
        r"pretrained_encoder\.pt: damaged \(.*\); delete it and make it again",
    ),
    "pre-trained encoder is something else": (
        pretrained({"projection": torch.zeros(1)}),
        EXPORT,
        r"pretrained_encoder: holds no resource encoder; run `kedro run --pipelines",
    ),
    "export comes before the encoder": (
        pretraining(),
        EXPORT,
        r"pretrained_encoder: \S+pretrained_encoder\.pt is not there; make it with "
        r"`kedro run --pipelines=encoder_pretrain --to-outputs=pretrained_encoder`",
    ),
    "small language model is not there": (
        pretraining(language_model=None),
        PRETRAIN,
        r"small_language_model: holds no model; run encoder_pretrain first",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_faults_of_resource_encoder_give_one_line(case, project):
    assert_one_line(project, *case)
