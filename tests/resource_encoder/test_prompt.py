"""A vector in a prompt: the language model's loss on each text, and its greedy decoding."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_language_models import CONFIGS, HIDDEN_SIZE, NUM_LAYERS, loaded, tiny_language_model
from torch import Tensor
from torch.nn.functional import cross_entropy

from embedlab.errors import InputError
from embedlab.resource_encoder.language_model import LanguageModel
from embedlab.resource_encoder.prompt import INSTRUCTION, PLACEHOLDER, VectorPrompt
from embedlab.resource_encoder.training import (
    ResourceTrainingParameters,
    enable_gradient_checkpointing,
)

PROMPT = "What runs where: <|resource|>\n{instruction}\n"
NO_PREFIX = "<|resource|> {instruction}"
# Of different lengths, in tokens too.
INSTRUCTIONS = ("Go!", "List the resources.", "Say it in other words.")
TEXTS = ("cut 2.5", "", "The image captioning tool runs a small input on 16 CPU cores", "é 漢")
WORDINGS = (0, 2, 1, 2)
PADDED = 128

Load = Callable[..., LanguageModel]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Loads a new instance of an architecture's model, so that tests do not share one."""
    folders = {
        name: tiny_language_model(tmp_path_factory.mktemp(name), architecture=name)
        for name in CONFIGS
    }

    def load_anew(name: str = "qwen2", dtype: torch.dtype = torch.float32) -> LanguageModel:
        return loaded(folders[name], dtype)

    return load_anew


@pytest.fixture(scope="module")
def prompt(load: Load) -> VectorPrompt:
    return prompt_of(load())


def prompt_of(
    language_model: LanguageModel, prompt: str = PROMPT, caches_prefix: bool = True
) -> VectorPrompt:
    return VectorPrompt(language_model, prompt, INSTRUCTIONS, caches_prefix)


def some_vectors(n: int = len(TEXTS)) -> Tensor:
    return torch.randn(n, HIDDEN_SIZE, generator=torch.Generator().manual_seed(n))


def plain_embeddings(prompt: VectorPrompt, vector: Tensor, wording: int) -> Tensor:
    """The prompt with the vector in it, token by token, `(1, length, h)`."""
    model = prompt.language_model
    table: Any = model.model.get_input_embeddings()
    text = prompt.prompt.replace(INSTRUCTION, INSTRUCTIONS[wording])
    before, after = (
        table(torch.tensor(model.tokenizer(part)["input_ids"], dtype=torch.long))
        for part in text.split(PLACEHOLDER)
    )
    return torch.cat([before, vector.to(before.dtype)[None], after])[None]


def plain_loss(prompt: VectorPrompt, vector: Tensor, wording: int, text: str) -> Tensor:
    """One whole sequence padded to 128, no cache, all logits."""
    model = prompt.language_model
    table: Any = model.model.get_input_embeddings()
    read = plain_embeddings(prompt, vector, wording)
    end = model.tokenizer.eos_token_id
    written = torch.tensor([*model.tokenizer(text)["input_ids"], end])
    start, stop = read.shape[1], read.shape[1] + len(written)
    tail = torch.tensor([*written, *[end] * (PADDED - stop)])
    mask = (torch.arange(PADDED) < stop).long()[None]
    whole = torch.cat([read, table(tail)[None]], dim=1)
    logits = model.model(inputs_embeds=whole, attention_mask=mask, use_cache=False).logits[0]
    return cross_entropy(logits[start - 1 : stop - 1].float(), written)


def gradients(losses: Callable[[Tensor], Tensor], vectors: Tensor) -> tuple[Tensor, Tensor]:
    """The losses, and the gradients of their weighted sum with respect to the vectors."""
    leaf = vectors.clone().requires_grad_()
    found = losses(leaf)
    (found * torch.arange(1, len(found) + 1)).sum().backward()
    assert leaf.grad is not None
    return found.detach(), leaf.grad


def losses_of(
    prompt: VectorPrompt, vectors: Tensor, wordings: Sequence[int], texts: Sequence[str]
) -> Tensor:
    return prompt.losses(vectors, wordings, [prompt.target(text) for text in texts])


def plain_losses(
    prompt: VectorPrompt, vectors: Tensor, wordings: Sequence[int], texts: Sequence[str]
) -> Tensor:
    return torch.stack(
        [plain_loss(prompt, *row) for row in zip(vectors, wordings, texts, strict=True)]
    )


def assert_as_plain(
    prompt: VectorPrompt, wordings: Sequence[int] = WORDINGS, texts: Sequence[str] = TEXTS
) -> None:
    found, expected = (
        gradients(partial(form, prompt, wordings=wordings, texts=texts), some_vectors(len(texts)))
        for form in (losses_of, plain_losses)
    )
    for ours, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
    assert (expected[1].norm(dim=1) > 1e-3).all()


# Prompts.


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("only {instruction}", "occurs 0 times in the prompt"),
        ("<|resource|> <|resource|> {instruction}", "occurs 2 times in the prompt"),
        ("<|resource|>", "once in the prompt, after <|"),
        ("{instruction} <|resource|>", "once in the prompt, after <|"),
        (
            "{instruction} <|resource|> {instruction}",
            "once in the prompt, after <|",
        ),
        (
            "<|resource|> {instruction} {instruction}",
            "once in the prompt, after <|",
        ),
    ],
)
def test_a_prompt_needs_each_placeholder_once(load: Load, text: str, reason: str) -> None:
    validate = ResourceTrainingParameters.model_validate
    for make in (partial(prompt_of, load()), lambda prompt: validate({"prompt": prompt})):
        with pytest.raises(InputError) as error:
            make(text)
        assert "\n" not in str(error.value)
        assert reason in str(error.value)


# Losses.


@pytest.mark.parametrize("architecture", CONFIGS)
@pytest.mark.parametrize("caches_prefix", [True, False])
@pytest.mark.parametrize("text", [PROMPT, NO_PREFIX])
def test_losses_and_gradients_are_those_of_the_plain_computation(
    load: Load, architecture: str, caches_prefix: bool, text: str
) -> None:
    assert_as_plain(prompt_of(load(architecture), text, caches_prefix))


@settings(max_examples=20, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(range(len(INSTRUCTIONS))),
            st.text(st.characters(codec="ascii"), max_size=60),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_any_batch_equals_the_plain_computation(
    prompt: VectorPrompt, rows: list[tuple[int, str]]
) -> None:
    assert_as_plain(prompt, *zip(*rows, strict=True))


def test_only_the_tokens_of_the_texts_count(load: Load) -> None:
    prompt = prompt_of(load(), caches_prefix=False)
    kept: list[Tensor] = []
    head: Any = prompt.language_model.model.get_output_embeddings()
    head.register_forward_hook(lambda *call: kept.append(call[2]) or call[2].retain_grad())
    targets = [prompt.target(text) for text in TEXTS]
    prompt.losses(some_vectors().requires_grad_(), WORDINGS, targets).sum().backward()
    (logits,) = kept
    assert logits.grad is not None
    counted = logits.grad.abs().sum(dim=2) > 0
    suffixes = [len(prompt.suffixes[wording]) for wording in WORDINGS]
    for row, suffix, target in zip(counted, suffixes, targets, strict=True):
        start = suffix - min(suffixes)
        expected = torch.zeros_like(row)
        expected[start : start + len(target)] = True
        assert row.tolist() == expected.tolist()
    # Logits are computed only for positions that predict a token of a text.
    assert logits.shape[1] < max(map(len, targets)) + max(suffixes)


@pytest.mark.parametrize("caches_prefix", [True, False])
def test_a_loss_does_not_depend_on_its_batch(load: Load, caches_prefix: bool) -> None:
    prompt, vectors = prompt_of(load(), caches_prefix=caches_prefix), some_vectors()
    together = losses_of(prompt, vectors, WORDINGS, TEXTS)
    rows = [slice(row, row + 1) for row in range(len(TEXTS))]
    alone = [losses_of(prompt, vectors[row], WORDINGS[row], TEXTS[row])[0] for row in rows]
    torch.testing.assert_close(together, torch.stack(alone))
    assert together.unique().numel() == len(TEXTS)


def test_the_prefix_goes_through_the_model_once(load: Load) -> None:
    prompt = prompt_of(load())
    lengths: list[int] = []
    first_layer = prompt.language_model.model.get_submodule("model.layers.0")
    first_layer.register_forward_pre_hook(
        lambda _, given: lengths.append(given[0].shape[:2].numel())
    )
    for _ in range(3):
        losses_of(prompt, some_vectors(), WORDINGS, TEXTS)
    pairs = zip(WORDINGS, TEXTS, strict=True)
    longest = max(len(prompt.suffixes[w]) + len(prompt.target(text)) for w, text in pairs)
    assert lengths == [len(prompt.prefix), *[len(TEXTS) * (1 + longest)] * 3]
    assert len(prompt.prefix) > 1


def test_no_parameter_of_the_language_model_gets_a_gradient(load: Load) -> None:
    prompt = prompt_of(load())
    gradients(lambda vectors: losses_of(prompt, vectors, WORDINGS, TEXTS), some_vectors())
    for name, parameter in prompt.language_model.model.named_parameters():
        assert parameter.grad is None, name


def test_a_language_model_in_bfloat16(load: Load) -> None:
    prompts = (prompt_of(load(dtype=dtype)) for dtype in (torch.float32, torch.bfloat16))
    (exact, slope), (rough, rough_slope) = (
        gradients(partial(losses_of, prompt, wordings=WORDINGS, texts=TEXTS), some_vectors())
        for prompt in prompts
    )
    assert rough.dtype == rough_slope.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0.05, atol=0)
    assert not torch.equal(rough, exact)
    assert torch.cosine_similarity(slope, rough_slope).min() > 0.95


def test_a_model_that_cannot_recompute_its_layers_is_refused(load: Load) -> None:
    language_model = replace(load("qwen2"), model=torch.nn.Linear(1, 1))
    with pytest.raises(InputError, match=r"^gradient_checkpointing: .*; set it to false$"):
        enable_gradient_checkpointing(language_model)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_gradient_checkpointing_changes_no_loss_and_no_gradient(
    load: Load, architecture: str
) -> None:
    def run(prompt: VectorPrompt) -> tuple[tuple[Tensor, Tensor], int]:
        calls: list[object] = []
        for name, module in prompt.language_model.model.named_modules():
            if name.endswith("mlp"):
                module.register_forward_pre_hook(lambda *_: calls.append(1))
        losses = partial(losses_of, prompt, wordings=WORDINGS, texts=TEXTS)
        return gradients(losses, some_vectors()), len(calls)

    plain, calls = run(prompt_of(load(architecture)))
    language_model = load(architecture)
    enable_gradient_checkpointing(language_model)
    found, recomputing_calls = run(prompt_of(language_model, caches_prefix=False))
    for ours, expected in zip(found, plain, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    # The plain run has a second forward pass for the prefix, the other one for recomputation.
    assert calls == recomputing_calls == 2 * NUM_LAYERS


# Decoding.


def plain_tokens(prompt: VectorPrompt, vector: Tensor, wording: int, n_tokens: int) -> list[int]:
    """Always the most probable token, with the whole sequence through the model for each."""
    table: Any = prompt.language_model.model.get_input_embeddings()
    embedded, ids = plain_embeddings(prompt, vector, wording), []
    for _ in range(n_tokens):
        logits = prompt.language_model.model(inputs_embeds=embedded, use_cache=False).logits
        ids.append(int(logits[0, -1].argmax()))
        embedded = torch.cat([embedded, table(torch.tensor([[ids[-1]]]))], dim=1)
    return ids


@pytest.mark.parametrize("architecture", CONFIGS)
@pytest.mark.parametrize("text", [PROMPT, NO_PREFIX])
def test_decoding_writes_the_most_probable_tokens(load: Load, architecture: str, text: str) -> None:
    prompt = prompt_of(load(architecture), text)
    tokenizer, vectors = prompt.language_model.tokenizer, some_vectors()
    # Instruction-tuned models have generation settings for chats.
    settings: Any = prompt.language_model.model.generation_config
    settings.update(do_sample=True, temperature=2.0, top_k=5, repetition_penalty=1.5)
    expected = [
        tokenizer.decode(plain_tokens(prompt, vector, 2, 10), skip_special_tokens=True)
        for vector in vectors
    ]
    assert prompt.decode(vectors, 2, 10) == expected
    assert len(set(expected)) > 1
    assert prompt.decode(vectors, 0, 10) != expected


def test_each_text_of_a_batch_ends_at_its_end_token(load: Load) -> None:
    prompt = prompt_of(load())
    tokenizer, vectors = prompt.language_model.tokenizer, some_vectors()
    written = [plain_tokens(prompt, vector, 0, 8) for vector in vectors]
    end = written[0][3]
    tokenizer.add_special_tokens({"eos_token": tokenizer.convert_ids_to_tokens(end)})
    assert tokenizer.eos_token_id == end
    cut = [ids[: ids.index(end)] if end in ids else ids for ids in written]
    assert prompt.decode(vectors, 0, 8) == [tokenizer.decode(ids) for ids in cut]
    assert len(cut[0]) < 4
    assert max(map(len, cut)) == 8
