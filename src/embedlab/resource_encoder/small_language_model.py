"""A small language model of Qwen2's architecture, for machines without a larger one.

It has about a million parameters and is trained on descriptions of configurations only. Trained on
text alone, a model of this size does not learn to decode several facts from one position, which the
resource encoder needs. Therefore a bag of words (as in CBOW, Mikolov et al. 2013, arXiv 1301.3781)
precedes each description: the sum of one word embedding per fact, at one position, scaled to the
mean norm of an embedding. Word embeddings are L2-normalised before summing. Otherwise the model
separates tools by the vector's length along one direction, and encoder training stalls between two
tools. The encoder does not use these words.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import normalize

from embedlab.distributed.processes import training_device
from embedlab.parameters import Parameters, Seed
from embedlab.resource_encoder.configs import CONFIG_COLUMNS
from embedlab.resource_encoder.descriptions import INSTRUCTIONS, TEMPLATES
from embedlab.resource_encoder.language_model import LanguageModel
from embedlab.resource_encoder.prompt import VectorPrompt
from embedlab.resource_encoder.samples import add_descriptions, jitter_numbers
from embedlab.resource_encoder.tokenizer import bags_of_words, make_tokenizer
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.history import History
from embedlab.training.loop import train
from embedlab.training.parameters import Schedule, TrainingParameters
from embedlab.training.task import Task

if TYPE_CHECKING:
    from transformers import Qwen2ForCausalLM, Qwen2Tokenizer

CARD = """# A small language model of configurations

{:,} parameters in Qwen2's architecture, trained from scratch on descriptions of tools'
configurations, each after a bag of words at one position. It knows no other text: it stands in for
a large language model where there is none.
"""
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
    """Architecture and training of the small language model.

    Attributes:
        hidden_size: dimension of the embeddings.
        num_heads: attention heads per layer.
        num_texts: descriptions to train on, of other configurations than the table's.
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
        if self.hidden_size % (2 * self.num_heads):  # rotary embeddings rotate pairs of components
            fault = f"{self.hidden_size} is no multiple of twice num_heads: {self.num_heads}"
            raise ValueError(f"hidden_size: {fault}")
        return self


class SmallLanguageModel(LanguageModel):
    """A trained model with its tokenizer and its model card."""

    @property
    def card(self) -> str:
        """The model card, for the README.md of a folder."""
        return CARD.format(self.model.num_parameters())

    def save(self, folder: Path) -> None:
        """Write a folder that transformers loads."""
        self.model.save_pretrained(str(folder))
        self.tokenizer.save_pretrained(str(folder))


def train_small_language_model(
    configs: pd.DataFrame,
    prompt: str,
    jitter: float,
    parameters: SmallLanguageModelParameters,
    checkpoint: Checkpoint,
) -> tuple[SmallLanguageModel, History]:
    """Train a language model on descriptions of configurations, few of which are in the profile.

    Their values are drawn from the profile `configs`; `jitter` is the largest relative change of a
    number. The prompt, as of `VectorPrompt`, precedes each description.
    """
    rows = mix_configs(configs, parameters.num_texts, jitter, parameters.seed)
    tokenizer = make_tokenizer(prompt, list(dict.fromkeys(configs["tool_name"])))
    with torch.random.fork_rng():
        torch.manual_seed(parameters.seed)
        made = SmallLanguageModel(_new_model(parameters, tokenizer), tokenizer)
    model: nn.Module = made.model
    model.to(training_device())
    texts = _Texts(made, prompt, rows)
    num_validated = min(VALIDATION_TEXTS, len(rows) // 2)
    task = Task(
        "language model",
        model,
        lambda _, indices, seed: {"loss": texts.losses(indices + num_validated).mean()},
        len(rows) - num_validated,
        lambda: texts.losses(torch.arange(num_validated)).mean().item(),
    )
    groups = [{"params": list(model.parameters()), "lr": parameters.training.learning_rate}]
    history = train(task, groups, parameters.training, parameters.seed, checkpoint)
    model.cpu()
    return made, history


def mix_configs(configs: pd.DataFrame, num_texts: int, jitter: float, seed: int) -> pd.DataFrame:
    """Make described configurations by shuffling every column of the profile independently.

    Half of them are jittered as well.

    Returns:
        The columns of `augment`; `num_texts` rows in random order, whatever the profile's length.
    """
    random = np.random.default_rng(seed)
    rows = configs.iloc[np.arange(num_texts) % len(configs)].reset_index(drop=True)
    rows = rows.assign(**{name: random.permutation(rows[name]) for name in CONFIG_COLUMNS})
    half = num_texts // 2
    rows = pd.concat([jitter_numbers(rows[:half], jitter, random), rows[half:]])
    shuffled = rows.iloc[random.permutation(num_texts)]
    return add_descriptions(shuffled, random.integers(len(TEMPLATES), size=num_texts))


class _Texts:
    """Descriptions, each after the prompt with its bag of words."""

    def __init__(self, language_model: LanguageModel, prompt: str, rows: pd.DataFrame):
        # The prompt of the encoder's training, but its prefix needs gradients here: no cache.
        self.prompt = VectorPrompt(language_model, prompt, INSTRUCTIONS, caches_prefix=False)
        ids = language_model.tokenizer.get_vocab()
        self.words = [[ids[word] for word in words] for words in bags_of_words(rows)]
        self.wordings: list[int] = rows["template"].tolist()
        self.targets = [self.prompt.target(text) for text in rows["text"]]

    def losses(self, indices: Tensor) -> Tensor:
        """The losses per token of these texts, `(b,)`."""
        rows = indices.tolist()
        embeddings = self.prompt.language_model.embedding.weight
        directions = normalize(embeddings, dim=1)
        bags = torch.stack([directions[self.words[row]].sum(dim=0) for row in rows])
        vectors = normalize(bags, dim=1) * embeddings.detach().norm(dim=1).mean()
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
        # Untied: bag-of-words tokens never occur as targets, so with tied embeddings the softmax
        # would push all of them in one direction.
        tie_word_embeddings=False,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return Qwen2ForCausalLM(shape)
