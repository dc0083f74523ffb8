"""The reward of a response to a prefix, from their embeddings."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from embedlab.parameters import Parameters
from embedlab.statistics.standardise import Standardise


class RewardHeadParameters(Parameters):
    """Architecture of the head: linear, or an MLP with one hidden layer, with dropout."""

    kind: Literal["linear", "mlp"] = "mlp"
    hidden_size: int = Field(128, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)


class RewardHead(nn.Module):
    """Linear or MLP reward over the features [r, p * r] of prefix vector p and response vector r.

    The products measure how well a response fits its prefix: in a linear head they form a cosine
    with learnt weights. p alone is not a feature: both responses of a pair share it, so it could
    only be used to memorise the training prefixes.

    Shape:
        - input: `(b, 2d)`, prefix and response vectors concatenated
        - output: `(b,)`

    References:
        Conneau et al. 2017, arXiv 1705.02364, section 3.1: products as features of sentence pairs.

    Example:
        >>> head = RewardHead(8, RewardHeadParameters(kind="linear"))
        >>> head(torch.randn(5, 8)).shape
        torch.Size([5])
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
        """Set the mean and standard deviation of the features from training data `(n, 2d)`."""
        self.standardise.fit(_features(embeddings))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Compute the rewards."""
        rewards: Tensor = self.reward(self.standardise(_features(embeddings)))
        return rewards.squeeze(-1)


def _features(embeddings: Tensor) -> Tensor:
    prefix, response = embeddings.chunk(2, dim=-1)
    return torch.cat([response, prefix * response], dim=-1)
