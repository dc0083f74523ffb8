"""Standardisation of vectors by the mean and standard deviation of training data."""

import math

import torch
from torch import Tensor, nn

# Components whose standard deviation is below this fraction of the mean count as constant: dividing
# by it would only amplify rounding error.
SMALLEST_DEVIATION = 1e-6


class Standardise(nn.Module):
    """Standardise each component, (x - mean) / standard deviation, and clip it to +-limit.

    The statistics are buffers: saved with the model, and changed by `fit` only.

    Shape:
        - input, output: `(..., d)`

    Example:
        >>> standardise = Standardise(1)
        >>> standardise.fit(torch.tensor([[1.0], [3.0]]))
        >>> standardise(torch.tensor([[4.0]])).tolist()
        [[2.0]]
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, dimension: int, limit: float = math.inf):
        super().__init__()
        self.limit = limit
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("deviation", torch.ones(dimension))

    def fit(self, vectors: Tensor) -> None:
        """Compute the statistics from `vectors`, `(n, d)`."""
        deviation, mean = torch.std_mean(vectors, dim=0, correction=0)
        self.mean.copy_(mean)
        varies = deviation > SMALLEST_DEVIATION * mean.abs()
        self.deviation.copy_(torch.where(varies, deviation, 1.0))

    def forward(self, vectors: Tensor) -> Tensor:
        """Standardise vectors."""
        return ((vectors - self.mean) / self.deviation).clamp(-self.limit, self.limit)
