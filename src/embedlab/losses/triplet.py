"""The margin loss of triplets."""

from torch import Tensor
from torch.linalg import vector_norm


def triplet_loss(
    anchors: Tensor,
    positives: Tensor,
    negatives: Tensor,
    margin: float,
    forbidden: Tensor | None = None,
) -> Tensor:
    """The mean over anchors and negatives of `max(0, margin + |a - p| - |a - n|)`.

    Args:
        anchors: a.
        positives: p, one for each anchor.
        negatives: n, equally many for each anchor.
        margin: by how much a negative is to be farther than the positive, a Euclidean distance.
        forbidden: which negatives are none, because they are relevant or missing, and count as
            zero; None for none.

    Shape:
        - anchors, positives: `(b, d)`
        - negatives: `(b, h, d)`
        - forbidden: bool `(b, h)`
        - output: `()`

    References:
        Weinberger & Saul 2009, Distance Metric Learning for Large Margin Nearest Neighbor
        Classification, JMLR 10, equation 12; with distances that are not squared: Hermans, Beyer &
        Leibe 2017, arXiv 1703.07737, section 2.
    """
    near = vector_norm(anchors - positives, dim=-1)
    far = vector_norm(anchors.unsqueeze(1) - negatives, dim=-1)
    losses = (margin + near.unsqueeze(1) - far).relu()
    return (losses if forbidden is None else losses.masked_fill(forbidden, 0)).mean()
