"""A small language model of Qwen2's architecture, for machines that have no other.

It has about a million parameters and knows one kind of text, descriptions of configurations. On
text alone, a model of this size does not learn to read several things from one position, which is
what a vector asks of it. So there is a bag of words in front of each description (as in CBOW,
Mikolov et al. 2013, arXiv 1301.3781): all that is to be said, at one position, as the sum of the
words' directions, scaled to the mean norm of an embedding. With their norms in the sum, the model
tells tools apart by how far they lie on one line, where an encoder gets stuck between two of them.
Encoders know nothing of these words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn.functional import normalize

from embedlab.distributed.processes import training_device
from embedlab.parameters import Parameters, Seed
from embedlab.resource_encoder.augmentation import described, jittered
from embedlab.resource_encoder.language_model import LanguageModel
from embedlab.resource_encoder.prompt import INSTRUCTION, PLACEHOLDER, VectorPrompt
from embedlab.resource_encoder.record_words import record_vocabulary, record_words
from embedlab.resource_encoder.templates import INSTRUCTIONS, TEMPLATES
from embedlab.resource_encoder.tool_configs import INPUT_SIZES, RESOURCES
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.history import History
from embedlab.training.loop import train
from embedlab.training.parameters import TrainingParameters
from embedlab.training.schedule import Schedule
from embedlab.training.task import Task

if TYPE_CHECKING:
    from transformers import Qwen2ForCausalLM, Qwen2Tokenizer

END = "<|end|>"
CARD = """# A small language model of configurations

{:,} parameters in Qwen2's architecture, trained from scratch on descriptions of tools'
configurations, each after a bag of words at one position. It knows no other text: it stands in for
a large language model where there is none.
"""
MEASURE = "validation_loss"
VALIDATION_TEXTS = 256


class LanguageModelLoopParameters(TrainingParameters):
    """The training loop of the small language model."""

    max_epochs: int = Field(4, ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    schedule: Schedule = "cosine"
    warmup_steps: int = Field(50, ge=0)
    max_gradient_norm: float | None = Field(1.0, gt=0)
    patience: int | None = Field(None, ge=1)


class SmallLanguageModelParameters(Parameters):
    """The shape of the small language model, and how it is trained.

    Attributes:
        hidden_size: of the embeddings.
        num_layers: of the transformer.
        num_heads: of its attention.
        num_texts: descriptions to train on, of other configurations than the table's.
        training: the loop.
        seed: of the descriptions, the initialisation and the order.
    """

    hidden_size: int = Field(128, ge=8)
    num_layers: int = Field(4, ge=1)
    num_heads: int = Field(8, ge=1)
    num_texts: int = Field(10_000, ge=2)
    training: LanguageModelLoopParameters = LanguageModelLoopParameters()
    seed: Seed = 0

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.hidden_size % (2 * self.num_heads):  # rotary positions turn pairs of components
            raise ValueError(
                f"hidden_size: {self.hidden_size} is no multiple of twice num_heads: "
                f"{self.num_heads}"
            )
        return self


@dataclass(frozen=True)
class SmallLanguageModel:
    """A model with its tokenizer, as transformers saves them."""

    model: "Qwen2ForCausalLM"
    tokenizer: "Qwen2Tokenizer"

    @property
    def card(self) -> str:
        """What it is, for whoever finds the folder."""
        return CARD.format(self.model.num_parameters())


def train_small_language_model(
    configs: pd.DataFrame,
    prompt: str,
    jitter: float,
    parameters: SmallLanguageModelParameters,
    checkpoint: Checkpoint,
) -> tuple[SmallLanguageModel, History]:
    """Train a language model on descriptions of configurations that the table mostly has not.

    Args:
        configs: tool_name and `RESOURCES`; decides the range of each value.
        prompt: what stands before a description.
        jitter: the largest relative change of a number.
        parameters: shape and training.
        checkpoint: where training goes on after it was stopped.
    """
    rows = other_configs(configs, parameters.num_texts, jitter, parameters.seed)
    names = list(dict.fromkeys(configs["tool_name"]))
    tokenizer = make_tokenizer(prompt, names)
    with torch.random.fork_rng():
        torch.manual_seed(parameters.seed)
        model = _new_model(parameters, tokenizer)
    device: Any = training_device()  # as transformers is typed
    model.to(device)
    texts = _Texts(model, tokenizer, prompt, rows)
    n_validated = min(VALIDATION_TEXTS, len(rows) // 2)
    task = Task(
        "language model",
        model,
        lambda _, positions, seed: {"loss": texts.losses(positions + n_validated).mean()},
        len(rows) - n_validated,
        lambda: texts.losses(torch.arange(n_validated)).mean().item(),
        MEASURE,
    )
    groups = [{"params": list(model.parameters()), "lr": parameters.training.learning_rate}]
    history = train(task, groups, parameters.training, parameters.seed, checkpoint)
    return SmallLanguageModel(model.cpu(), tokenizer), history


def other_configs(configs: pd.DataFrame, num_texts: int, jitter: float, seed: int) -> pd.DataFrame:
    """Described configurations whose values are drawn one by one from the columns of the table.

    Half of them are jittered too.

    Returns:
        The columns of `augment`; `num_texts` rows in random order, however many the table has.
    """
    random = np.random.default_rng(seed)
    mixed = configs.iloc[np.arange(num_texts) % len(configs)].reset_index(drop=True)
    mixed = mixed.assign(
        **{name: random.permutation(mixed[name]) for name in ("tool_name", *RESOURCES)}
    )
    half = len(mixed) // 2
    rows = pd.concat([jittered(mixed[:half], jitter, random), mixed[half:]])
    return described(
        rows.iloc[random.permutation(len(rows))],
        random.integers(len(TEMPLATES), size=len(rows)),
    )


def make_tokenizer(prompt: str, tool_names: Sequence[str]) -> "Qwen2Tokenizer":
    """A tokenizer that knows the phrases of prompts and descriptions, and bytes for the rest.

    Each phrase is one token, and so is each digit.
    """
    # Imported late: slow, and most runs need no language model.
    from tokenizers import AddedToken, pre_tokenizers
    from transformers import Qwen2Tokenizer

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([END, *alphabet])}
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[], eos_token=END, pad_token=END)
    phrases = [*_phrases(prompt), *INPUT_SIZES, *(name.replace("_", " ") for name in tool_names)]
    tokenizer.add_tokens(
        [AddedToken(phrase, normalized=False) for phrase in phrases if phrase.isascii()]
    )
    tokenizer.add_tokens([AddedToken(word) for word in record_vocabulary(tool_names)])
    return tokenizer


def _phrases(prompt: str) -> list[str]:
    """What stands in prompts and templates between what changes."""
    literals = prompt.replace(PLACEHOLDER, INSTRUCTION).split(INSTRUCTION)
    texts = [template.text for template in TEMPLATES]
    literals += [literal for text in texts for literal, *_ in Formatter().parse(text)]
    return [phrase for phrase in dict.fromkeys([*literals, *INSTRUCTIONS]) if len(phrase) > 1]


class _Texts:
    """Descriptions, each after the prompt with its bag of words."""

    def __init__(
        self,
        model: "Qwen2ForCausalLM",
        tokenizer: "Qwen2Tokenizer",
        prompt: str,
        rows: pd.DataFrame,
    ):
        # The very prompt through which the encoder will speak, but with gradients.
        language_model = LanguageModel(model, tokenizer, version="")
        self.prompt = VectorPrompt(language_model, prompt, INSTRUCTIONS, caches_prefix=False)
        self.model = model
        ids = tokenizer.get_vocab()
        self.words = [[ids[word] for word in words] for words in record_words(rows)]
        self.wordings: list[int] = rows["template"].tolist()
        self.targets = [self.prompt.target(text) for text in rows["text"]]

    def losses(self, positions: Tensor) -> Tensor:
        """The loss of each of these texts, `(b,)`."""
        rows = positions.tolist()
        table: Any = self.model.get_input_embeddings()
        words = normalize(table.weight, dim=1)
        bags = [words[self.words[row]].sum(dim=0) for row in rows]
        norm = table.weight.detach().norm(dim=1).mean()
        vectors = normalize(torch.stack(bags), dim=1) * norm
        wordings = [self.wordings[row] for row in rows]
        return self.prompt.losses(vectors, wordings, [self.targets[row] for row in rows])


def _new_model(
    parameters: SmallLanguageModelParameters, tokenizer: "Qwen2Tokenizer"
) -> "Qwen2ForCausalLM":
    # Imported late: slow, and most runs need no language model.
    from transformers import Qwen2Config, Qwen2ForCausalLM

    shape = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=parameters.hidden_size,
        intermediate_size=3 * parameters.hidden_size,
        num_hidden_layers=parameters.num_layers,
        num_attention_heads=parameters.num_heads,
        num_key_value_heads=parameters.num_heads,
        max_position_embeddings=512,
        # Tied, words that are never written would all drift the same way, and drown in one another.
        tie_word_embeddings=False,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return Qwen2ForCausalLM(shape)
