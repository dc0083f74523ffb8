"""The margin loss against the hardest negative of a batch."""

import torch
from torch import Tensor
from torch.linalg import vector_norm


def hardest_in_batch_loss(
    anchors: Tensor, candidates: Tensor, targets: Tensor, forbidden: Tensor, margin: float
) -> Tensor:
    """Compute the mean over anchors of `max(0, margin + |a - p| - |a - n|)`.

    n is the nearest negative of anchor a, which should be farther than the positive p by `margin`,
    a Euclidean distance. An anchor without an allowed negative counts as zero.

    Shape:
        - anchors: `(b, d)`
        - candidates: `(m, d)`, positives and negatives of all anchors
        - targets: int64 `(b,)`, index of each anchor's positive among the candidates
        - forbidden: bool `(b, m)`, True where a candidate is relevant to the anchor and thus no
          negative; the positive is never a negative, whatever its entry
        - output: `()`

    References:
        Faghri et al. 2018 (VSE++), arXiv 1707.05612, equation 6, with Euclidean distances.

    Example:
        >>> candidates = torch.tensor([[1.0], [1.5], [4.0]])
        >>> forbidden = torch.zeros(1, 3, dtype=torch.bool)
        >>> hardest_in_batch_loss(torch.zeros(1, 1), candidates, torch.tensor([0]), forbidden, 1.0)
        tensor(0.5000)
    """
    with torch.no_grad():
        excluded = forbidden.scatter(1, targets.unsqueeze(1), True)
        distances = torch.cdist(anchors, candidates).masked_fill(excluded, torch.inf)
        nearest, hardest = distances.min(dim=1)
    # Computed again, because cdist's matrix product is inexact for close vectors.
    near = vector_norm(anchors - candidates[targets], dim=1)
    far = vector_norm(anchors - candidates[hardest], dim=1)
    losses: Tensor = (margin + near - far).relu()
    return losses.masked_fill(nearest.isinf(), 0).mean()
