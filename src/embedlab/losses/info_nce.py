"""The softmax loss of a batch."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def info_nce_loss(
    anchors: Tensor, candidates: Tensor, targets: Tensor, forbidden: Tensor, temperature: float
) -> Tensor:
    """The mean over anchors of `-log softmax_c(-|a - c|^2 / (2 temperature))` at the positive.

    On unit vectors this is InfoNCE of cosines, since then `|a - c|^2 / 2 = 1 - cos(a, c)`.

    Args:
        anchors: a.
        candidates: c, positives and negatives of all anchors.
        targets: which candidate is the positive of each anchor.
        forbidden: which candidates are left out of an anchor's softmax, because they are relevant
            too; its positive never is, whatever is said here.
        temperature: of the softmax, a squared distance.

    Shape:
        - anchors: `(b, d)`
        - candidates: `(m, d)`
        - targets: int64 `(b,)`
        - forbidden: bool `(b, m)`
        - output: `()`

    References:
        Van den Oord, Li & Vinyals 2018, arXiv 1807.03748, equation 4; in-batch negatives:
        Karpukhin et al. 2020, arXiv 2004.04906, equation 2.
    """
    # Without |a|^2, which softmax cancels.
    logits = (anchors @ candidates.T - candidates.square().sum(1) / 2) / temperature
    excluded = forbidden.scatter(1, targets.unsqueeze(1), False)
    return cross_entropy(logits.masked_fill(excluded, -torch.inf), targets)
