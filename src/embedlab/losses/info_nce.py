"""InfoNCE, the softmax loss of a batch, with Euclidean distances."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def info_nce_loss(
    anchors: Tensor, candidates: Tensor, targets: Tensor, forbidden: Tensor, temperature: float
) -> Tensor:
    """Compute the mean over anchors of `-log softmax_c(-|a - c|^2 / (2 temperature))` at p.

    p is the positive of anchor a among the candidates c; the temperature is a squared distance. On
    unit vectors this is InfoNCE with cosines, because `|a - c|^2 / 2 = 1 - cos(a, c)`.

    Shape:
        - anchors: `(b, d)`
        - candidates: `(m, d)`, positives and negatives of all anchors
        - targets: int64 `(b,)`, index of each anchor's positive among the candidates
        - forbidden: bool `(b, m)`, True where a candidate is relevant to the anchor and thus left
          out of its softmax; the positive is never left out, whatever its entry
        - output: `()`

    References:
        Van den Oord, Li & Vinyals 2018, arXiv 1807.03748, equation 4; in-batch negatives:
        Karpukhin et al. 2020, arXiv 2004.04906, equation 2.

    Example:
        >>> vectors, forbidden = torch.eye(2), torch.zeros(2, 2, dtype=torch.bool)
        >>> info_nce_loss(vectors, vectors, torch.tensor([0, 1]), forbidden, temperature=1.0)
        tensor(0.3133)
    """
    # |a|^2 cancels in the softmax.
    logits = (anchors @ candidates.T - candidates.square().sum(1) / 2) / temperature
    excluded = forbidden.scatter(1, targets.unsqueeze(1), False)
    return cross_entropy(logits.masked_fill(excluded, -torch.inf), targets)
