"""The loss of a covariance that is not isotropic."""

import torch
from torch import Tensor

from embedlab.distributed.collectives import all_reduce_sum, centre


def covariance_isotropy(vectors: Tensor, target_std: float) -> Tensor:
    """How far the covariance is from the target's: `||Cov(x / s) - I||_F / d`.

    s is the target's standard deviation in each dimension, and Cov the unbiased covariance of the
    vectors of all processes.

    Args:
        vectors: a batch, as large on every process, of at least two vectors in all.
        target_std: s.

    Shape:
        - vectors: `(n, d)`
        - output: `()`

    References:
        In place of SIGReg; the squared norm is CORAL's: Sun & Saenko 2016, arXiv 1607.01719,
        equation 1, with I as the other covariance.
    """
    centred, count = centre(vectors / target_std)
    covariance = all_reduce_sum(centred.T @ centred) / (count - 1)
    identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    return torch.linalg.matrix_norm(covariance - identity) / len(covariance)
