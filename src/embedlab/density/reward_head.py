"""The reward of an answer to a prefix, from their embeddings."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from embedlab.parameters import Parameters
from embedlab.statistics.standardise import Standardise


class RewardHeadParameters(Parameters):
    """The shape of the head.

    Attributes:
        kind: a linear map, or one hidden layer.
        hidden_size: width of the hidden layer.
        dropout: share of hidden units that a training step leaves out.
    """

    kind: Literal["linear", "mlp"] = "mlp"
    hidden_size: int = Field(128, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)


class RewardHead(nn.Module):
    """Linear or MLP reward over the features [a, p * a] of prefix p and answer a.

    The products let a head see how well an answer fits its prefix: in a linear head they are a
    cosine with learnt weights (a usual feature of sentence pairs: Conneau et al. 2017, arXiv
    1705.02364, section 3.1). The prefix by itself is the same for both answers of a pair; a head
    that had it could only learn the training prefixes by heart.

    Shape:
        - input: `(b, 2d)`, prefix and answer end to end
        - output: `(b,)`
    """

    def __init__(self, dimension: int, parameters: RewardHeadParameters):
        super().__init__()
        self.standardise = Standardise(dimension)
        if parameters.kind == "linear":
            self.reward: nn.Module = nn.Linear(dimension, 1)
        else:
            self.reward = nn.Sequential(
                nn.Linear(dimension, parameters.hidden_size),
                nn.GELU(),
                nn.Dropout(parameters.dropout),
                nn.Linear(parameters.hidden_size, 1),
            )

    def fit_statistics(self, embeddings: Tensor) -> None:
        """Fix the features' mean and deviation by `embeddings` (n, 2d) of training answers."""
        self.standardise.fit(_features(embeddings))

    def forward(self, embeddings: Tensor) -> Tensor:
        """The rewards."""
        rewards: Tensor = self.reward(self.standardise(_features(embeddings)))
        return rewards.squeeze(-1)


def _features(embeddings: Tensor) -> Tensor:
    """[a, p * a] of prefixes and answers end to end."""
    prefix, answer = embeddings.chunk(2, dim=-1)
    return torch.cat([answer, prefix * answer], dim=-1)
