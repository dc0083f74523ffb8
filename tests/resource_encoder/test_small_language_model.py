"""The small language model: its tokens, its texts, its training, and its folder."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_language_models import PROMPT, tiny_tokenizer
from transformers import AutoTokenizer, Qwen2ForCausalLM

from embedlab.datasets.model_folder import LanguageModelFolderDataset
from embedlab.encoders.parameters import LanguageModelSource
from embedlab.parameters import merge
from embedlab.resource_encoder.configs import (
    CONFIG_COLUMNS,
    NUMBERS,
    RESOURCES,
    default_tool_configs,
)
from embedlab.resource_encoder.descriptions import (
    INSTRUCTIONS,
    TEMPLATES,
    read_fields,
    write_descriptions,
)
from embedlab.resource_encoder.language_model import load_language_model
from embedlab.resource_encoder.prompt import PLACEHOLDER
from embedlab.resource_encoder.small_language_model import (
    SmallLanguageModel,
    SmallLanguageModelParameters,
    mix_configs,
    train_small_language_model,
)
from embedlab.resource_encoder.tokenizer import bag_vocabulary, bags_of_words, make_tokenizer
from embedlab.resource_encoder.tools import default_tool_registry
from embedlab.resource_encoder.training import MEASURE
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.history import History

REGISTRY = default_tool_registry()
TOOLS = REGISTRY["tool_name"].tolist()
CONFIGS = default_tool_configs(REGISTRY, seed=0)
TOKENIZER = tiny_tokenizer()
FEW = CONFIGS[::40].reset_index(drop=True)
JITTER = 0.05
TINY = {
    "hidden_size": 32,
    "num_layers": 1,
    "num_heads": 2,
    "num_texts": 8 * len(FEW),
    "training": {"batch_size": 16, "warmup_steps": 5},
}


def parameters_of(**changes: object) -> SmallLanguageModelParameters:
    return SmallLanguageModelParameters.model_validate(merge(TINY, changes))


def train(
    folder: Path, configs: pd.DataFrame = FEW, **changes: object
) -> tuple[SmallLanguageModel, History]:
    folder.mkdir(exist_ok=True)
    checkpoint = Checkpoint(folder / "checkpoint.pt", "")
    return train_small_language_model(configs, PROMPT, JITTER, parameters_of(**changes), checkpoint)


def save(made: SmallLanguageModel, folder: Path) -> Path:
    dataset = LanguageModelFolderDataset(filepath=str(folder))
    dataset.save(made)
    return dataset.load()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[SmallLanguageModel, History]:
    """After a bit more than two hundred steps."""
    return train(
        tmp_path_factory.mktemp("trained"),
        num_texts=26 * len(FEW),
        training={"max_epochs": 2, "batch_size": 8},
    )


# Words.


@st.composite
def configs(draw: st.DrawFn) -> pd.DataFrame:
    numbers = st.floats(0.01, 1e5).map(lambda value: float(f"{value:.3g}"))
    row = {name: draw(numbers) for name in NUMBERS}
    row |= {"tool_name": draw(st.sampled_from([*TOOLS, "unknown_tool"]))}
    return pd.DataFrame([row | {"input_size": draw(st.sampled_from(["small", "medium", "large"]))}])


@settings(deadline=None)
@given(configs(), st.sampled_from(range(len(TEMPLATES))))
def test_the_tokenizer_gives_back_every_description(row: pd.DataFrame, template: int) -> None:
    (text,) = write_descriptions(row, template)
    assert TOKENIZER.decode(TOKENIZER(text)["input_ids"], skip_special_tokens=True) == text


def test_phrases_are_one_token_and_so_is_every_digit() -> None:
    (text,) = write_descriptions(FEW[:1].assign(latency_ms=1234.0), 0)
    tokens = [TOKENIZER.decode([token]) for token in TOKENIZER(text)["input_ids"]]
    assert tokens[:5] == ["The ", "image classification", " tool runs a ", "small", " input on "]
    assert tokens[-6:] == [" GB GPU memory in ", "1", "2", "3", "4", " ms."]
    for instruction in INSTRUCTIONS:
        assert len(TOKENIZER(instruction)["input_ids"]) == 1
    assert len(TOKENIZER(PROMPT.partition(PLACEHOLDER)[0])["input_ids"]) == 1


@pytest.mark.parametrize("before", ['{"tool": ', "{ ", "Read } and {}: ", "Two words: ", ""])
def test_any_prompt_has_a_tokenizer(before: str) -> None:
    prompt = before + "<|resource|>}\n{instruction}\n"
    tokenizer = make_tokenizer(prompt, TOOLS)
    assert tokenizer.decode(tokenizer(prompt)["input_ids"]) == prompt
    assert len(tokenizer(before)["input_ids"]) == bool(before)


def test_a_bag_has_a_word_for_each_fact_and_each_symbol_of_a_number() -> None:
    row = ["object_detection", "large", 4.0, 8.12, 20.0, 2.0, 1234567.5]
    (words,) = bags_of_words(pd.DataFrame([row], columns=list(CONFIG_COLUMNS)))
    assert words[:3] == ["<tool=object_detection>", "<input_size=large>", "<cpu_cores[0]=4>"]
    memory = ["<memory_gb[0]=8>", "<memory_gb[1]=.>", "<memory_gb[2]=1>", "<memory_gb[3]=2>"]
    assert words[3:7] == memory
    assert words[7:10] == ["<gpu_sm[0]=2>", "<gpu_sm[1]=0>", "<gpu_memory_gb[0]=2>"]
    assert words[10:] == [f"<latency_ms[{index}]={index + 1}>" for index in range(6)]


def test_bags_have_words_of_the_vocabulary_each_one_token() -> None:
    rows = mix_configs(CONFIGS, 3000, JITTER, seed=1)
    found = {word for words in bags_of_words(rows) for word in words}
    vocabulary = bag_vocabulary(TOOLS)
    assert found <= set(vocabulary)
    assert len(set(vocabulary)) == len(vocabulary)
    ids = TOKENIZER.get_vocab()
    assert len({ids[word] for word in vocabulary}) == len(vocabulary)
    by_words = pd.Series([" ".join(words) for words in bags_of_words(rows)])
    kept = rows[["tool_name", *RESOURCES]].astype(str).agg(" ".join, axis=1)
    assert by_words.nunique() == kept.nunique()


# Texts.


def test_mixed_configurations_have_the_values_of_the_profile_in_new_combinations() -> None:
    rows = mix_configs(CONFIGS, 6800, JITTER, seed=3)
    assert len(rows) == 6800
    assert np.bincount(rows["template"], minlength=len(TEMPLATES)).min() > 0.8 * len(rows) / 6
    read = pd.DataFrame(list(map(read_fields, rows["text"], rows["template"])))
    for name in NUMBERS:
        np.testing.assert_array_equal(read[name].astype(float), rows[name])
    assert read["tool"].tolist() == rows["tool_name"].str.replace("_", " ").tolist()
    assert read["input_size"].tolist() == rows["input_size"].tolist()

    plain = rows["cpu_cores"].isin(CONFIGS["cpu_cores"])
    assert plain.mean() == pytest.approx(0.5, abs=0.06)
    # Columns are independent.
    codes = rows[list(NUMBERS)].assign(tool=rows["tool_name"].map(TOOLS.index))
    assert (codes.corr().abs() - np.eye(6)).to_numpy().max() < 0.05
    nearest = np.abs(rows[["cpu_cores"]].to_numpy() / [[2, 4, 8]] - 1).min(axis=1)
    assert 0.9 * JITTER < nearest.max() < 1.2 * JITTER
    known = rows.merge(CONFIGS, on=["tool_name", *RESOURCES])
    assert len(known) < 0.02 * len(rows)
    quarters = np.array_split(plain.to_numpy(), 4)
    assert all(0.4 < quarter.mean() < 0.6 for quarter in quarters)


def test_the_seed_decides_the_texts() -> None:
    first, again, other = (
        mix_configs(FEW, 129, JITTER, seed)["text"].tolist() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


# Training.


def test_a_couple_of_hundred_steps_teach_the_phrases(
    trained: tuple[SmallLanguageModel, History],
) -> None:
    made, history = trained
    losses = [row[MEASURE] for row in history.rows]
    assert 200 < history.last["step"] < 400
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.25 * math.log(len(made.tokenizer))
    assert history.rows[0]["loss"] > losses[-1]


@pytest.mark.parametrize("n_configs", [1, 20])
def test_a_profile_may_have_few_rows(tmp_path: Path, n_configs: int) -> None:
    _, history = train(tmp_path, CONFIGS[:n_configs], num_texts=40, training={"max_epochs": 1})
    assert math.isfinite(history.last[MEASURE])


def test_the_same_seed_gives_the_same_folder(tmp_path: Path) -> None:
    once = {"training": {"max_epochs": 1}}
    first, again, other = (
        contents(save(train(tmp_path / name, **once, seed=seed)[0], tmp_path / f"{name}-llm"))
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first == again
    assert first["model.safetensors"] != other["model.safetensors"]


# The folder.


def test_the_folder_loads_as_any_other_language_model(
    trained: tuple[SmallLanguageModel, History], tmp_path: Path
) -> None:
    made, _ = trained
    folder = save(made, tmp_path / "llm")
    source = LanguageModelSource(model=str(folder))
    found = load_language_model(source, torch.float32, torch.device("cpu"))
    assert isinstance(found.model, Qwen2ForCausalLM)
    assert found.embedding.weight.shape[1] == 32
    assert found.model.config.num_attention_heads == 2
    assert found.tokenizer.eos_token_id == made.tokenizer.eos_token_id
    ids = torch.tensor([found.token_ids("Tool: object detection; input: small")])
    with torch.no_grad():
        assert torch.equal(found.model(ids).logits, made.model(ids).logits)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"{made.model.num_parameters():,} parameters in Qwen2" in card


def test_the_tokenizer_survives_the_folder(
    trained: tuple[SmallLanguageModel, History], tmp_path: Path
) -> None:
    made, _ = trained
    again = AutoTokenizer.from_pretrained(save(made, tmp_path / "llm"))
    assert again.get_vocab() == made.tokenizer.get_vocab()
    rows = mix_configs(CONFIGS, 600, JITTER, seed=5)
    for text in [*rows["text"], *INSTRUCTIONS, PROMPT]:
        ids = made.tokenizer(text)["input_ids"]
        assert again(text)["input_ids"] == ids
        assert again.decode(ids) == text
    for words in bags_of_words(rows):
        assert again.convert_tokens_to_ids(words) == made.tokenizer.convert_tokens_to_ids(words)
