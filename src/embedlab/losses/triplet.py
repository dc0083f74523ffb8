"""The margin loss of triplets."""

from torch import Tensor
from torch.linalg import vector_norm


def triplet_loss(
    anchors: Tensor, positives: Tensor, negatives: Tensor, margin: float, forbidden: Tensor
) -> Tensor:
    """Compute the mean over anchors and negatives of `max(0, margin + |a - p| - |a - n|)`.

    The negatives n of anchor a should be farther than its positive p by `margin`, a Euclidean
    distance.

    Shape:
        - anchors, positives: `(b, d)`
        - negatives: `(b, h, d)`
        - forbidden: bool `(b, h)`, True where a negative is relevant or missing, and counts as zero
        - output: `()`

    References:
        Weinberger & Saul 2009, Distance Metric Learning for Large Margin Nearest Neighbor
        Classification, JMLR 10, equation 12; with distances that are not squared: Hermans, Beyer &
        Leibe 2017, arXiv 1703.07737, section 2.

    Example:
        >>> import torch
        >>> anchors, positives = torch.zeros(1, 1), torch.ones(1, 1)
        >>> negatives, forbidden = torch.tensor([[[1.5], [4.0]]]), torch.tensor([[False, False]])
        >>> triplet_loss(anchors, positives, negatives, 1.0, forbidden)
        tensor(0.2500)
    """
    near = vector_norm(anchors - positives, dim=-1)
    far = vector_norm(anchors.unsqueeze(1) - negatives, dim=-1)
    losses: Tensor = (margin + near.unsqueeze(1) - far).relu()
    return losses.masked_fill(forbidden, 0).mean()
