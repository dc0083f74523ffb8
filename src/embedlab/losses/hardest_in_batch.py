"""The margin loss against the hardest negative of a batch."""

import torch
from torch import Tensor
from torch.linalg import vector_norm


def hardest_in_batch_loss(
    anchors: Tensor, candidates: Tensor, targets: Tensor, forbidden: Tensor, margin: float
) -> Tensor:
    """The mean over anchors of `max(0, margin + |a - p| - |a - n|)`, n the nearest negative.

    An anchor without an allowed negative counts as zero.

    Args:
        anchors: a.
        candidates: positives and negatives of all anchors.
        targets: which candidate is the positive of each anchor.
        forbidden: which candidates are no negatives of an anchor, because they are relevant too;
            its positive never is one, whatever is said here.
        margin: by how much a negative is to be farther than the positive, a Euclidean distance.

    Shape:
        - anchors: `(b, d)`
        - candidates: `(m, d)`
        - targets: int64 `(b,)`
        - forbidden: bool `(b, m)`
        - output: `()`

    References:
        Faghri et al. 2018 (VSE++), arXiv 1707.05612, equation 6, with Euclidean distances.
    """
    with torch.no_grad():
        excluded = forbidden.scatter(1, targets.unsqueeze(1), True)
        distances = torch.cdist(anchors, candidates).masked_fill(excluded, torch.inf)
        nearest, hardest = distances.min(dim=1)
    # Computed anew, because cdist's matrix product is inexact for vectors that are close.
    near = vector_norm(anchors - candidates[targets], dim=1)
    far = vector_norm(anchors - candidates[hardest], dim=1)
    return (margin + near - far).relu().masked_fill(nearest.isinf(), 0).mean()
