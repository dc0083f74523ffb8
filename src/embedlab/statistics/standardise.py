"""Standardisation of vectors by statistics that training data fixes."""

import math

import torch
from torch import Tensor, nn

# A component that deviates less, over its mean, is constant but for rounding: not to be blown up.
SMALLEST_DEVIATION = 1e-6


class Standardise(nn.Module):
    """(x - mean) / standard deviation, each component by itself, clipped to +-limit.

    The statistics are buffers: saved with the model, never trained, and no scoring changes them.

    Shape:
        - input, output: `(..., d)`
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, dimension: int, limit: float = math.inf):
        super().__init__()
        self.limit = limit
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("deviation", torch.ones(dimension))

    def fit(self, vectors: Tensor) -> None:
        """Take the statistics of `vectors` (n, d)."""
        deviation, mean = torch.std_mean(vectors, dim=0, correction=0)
        self.mean.copy_(mean)
        varies = deviation > SMALLEST_DEVIATION * mean.abs()
        self.deviation.copy_(torch.where(varies, deviation, 1.0))

    def forward(self, vectors: Tensor) -> Tensor:
        """Standardise."""
        return ((vectors - self.mean) / self.deviation).clamp(-self.limit, self.limit)
