"""Random network distillation (RND): a model of how novel a vector is."""

from itertools import pairwise
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from embedlab.parameters import Parameters
from embedlab.statistics.standardise import Standardise

# Standardised inputs are clipped to +-LIMIT (Burda et al. 2018, section 2.4).
LIMIT = 5.0

# Vectors scored at once.
BLOCK_SIZE = 8192


class RNDModelParameters(Parameters):
    """The shapes of the two networks, whose outputs must have the same width.

    Attributes:
        target_layers: widths of the target's layers, the last its output.
        predictor_layers: widths of the predictor's layers, the last its output.
        normalize_embeddings: whether inputs are standardised by the training vectors' statistics.
    """

    target_layers: tuple[int, ...] = Field((256, 64), min_length=1)
    predictor_layers: tuple[int, ...] = Field((512, 64), min_length=1)
    normalize_embeddings: bool = True

    @model_validator(mode="after")
    def _outputs_agree(self) -> Self:
        widths = (*self.target_layers, *self.predictor_layers)
        if min(widths) < 1 or self.target_layers[-1] != self.predictor_layers[-1]:
            raise ValueError(
                "target_layers and predictor_layers must be positive and end with the same width "
                f"(got {list(self.target_layers)} and {list(self.predictor_layers)})"
            )
        return self


class RandomNetworkDistillation(nn.Module):
    """A predictor trained to imitate a random target network on the training vectors.

    The novelty of a vector is the mean squared error of the predictor. Statistics are those of the
    training vectors, and scoring does not change them.

    Shape:
        - input: `(b, d)`
        - output: `(b,)`

    References:
        Burda, Edwards, Storkey & Klimov 2018, Exploration by Random Network Distillation, arXiv
        1810.12894, section 2.2.
    """

    def __init__(self, dimension: int, parameters: RNDModelParameters):
        super().__init__()
        self.standardise = (
            Standardise(dimension, LIMIT) if parameters.normalize_embeddings else nn.Identity()
        )
        self.target = _mlp(dimension, parameters.target_layers).requires_grad_(False)
        self.predictor = _mlp(dimension, parameters.predictor_layers)
        self.normalise = Standardise(1)

    @torch.no_grad()
    def fit_inputs(self, embeddings: Tensor) -> None:
        """Set the input statistics to those of the training vectors (n, d)."""
        if isinstance(self.standardise, Standardise):
            self.standardise.fit(embeddings)

    @torch.no_grad()
    def fit_reward(self, embeddings: Tensor) -> None:
        """Set mean and deviation of the reward to those of the training vectors' novelty."""
        novelty = torch.cat([self(block) for block in torch.split(embeddings, BLOCK_SIZE)])
        self.normalise.fit(novelty[:, None])

    def forward(self, embeddings: Tensor) -> Tensor:
        """The novelty of each vector."""
        inputs = self.standardise(embeddings)
        novelty: Tensor = (self.predictor(inputs) - self.target(inputs)).square().mean(dim=-1)
        return novelty

    def reward(self, embeddings: Tensor) -> Tensor:
        """Intrinsic reward `(b,)`: novelty standardised by that of the training vectors."""
        rewards: Tensor = self.normalise(self(embeddings)[:, None])
        return rewards.squeeze(-1)


def _mlp(dimension: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers of these widths with a ReLU between each two."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise((dimension, *widths)):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
