"""Random network distillation: how novel a vector is."""

from itertools import pairwise
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from embedlab.parameters import Parameters
from embedlab.statistics.standardise import Standardise

# Standardised components beyond this are clipped (Burda et al. 2018, section 2.4).
LIMIT = 5.0

# Vectors scored at a time.
BLOCK_SIZE = 8192


class RNDModelParameters(Parameters):
    """The shape of the two networks, whose last widths must be the same.

    Attributes:
        target_layers: widths of the target's layers; the last is its output.
        predictor_layers: widths of the predictor's layers; the last is its output.
        normalize_embeddings: whether both see components standardised by the training vectors.
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
    """A predictor that has learnt a random target network where the training vectors lie.

    The novelty of a vector is the mean squared error of the predictor (Burda et al. 2018, arXiv
    1810.12894, section 2.2). Statistics are fixed by the training vectors, and scoring changes
    nothing.

    Shape:
        - input: `(b, d)`
        - output: `(b,)`
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
        """Fix the components' mean and deviation by the training vectors (n, d)."""
        if isinstance(self.standardise, Standardise):
            self.standardise.fit(embeddings)

    @torch.no_grad()
    def fit_reward(self, embeddings: Tensor) -> None:
        """Fix the mean and deviation of novelty by that of the training vectors (n, d)."""
        novelty = torch.cat([self(block) for block in embeddings.split(BLOCK_SIZE)])
        self.normalise.fit(novelty[:, None])

    def forward(self, embeddings: Tensor) -> Tensor:
        """The novelty."""
        inputs = self.standardise(embeddings)
        novelty: Tensor = (self.predictor(inputs) - self.target(inputs)).square().mean(dim=-1)
        return novelty

    def reward(self, embeddings: Tensor) -> Tensor:
        """Novelty in deviations from that of the training vectors, an intrinsic reward `(b,)`."""
        rewards: Tensor = self.normalise(self(embeddings)[:, None])
        return rewards.squeeze(-1)


def _mlp(dimension: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers of these widths with a ReLU between each two."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise((dimension, *widths)):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
