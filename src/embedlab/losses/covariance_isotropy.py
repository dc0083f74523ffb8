"""The distance of a batch's covariance from that of an isotropic distribution."""

import torch
from torch import Tensor

from embedlab.distributed.processes import all_reduce_sum, centre


def covariance_isotropy(vectors: Tensor, target_std: float) -> Tensor:
    """Compute `||Cov(x / s) - I||_F / d`, Cov the unbiased covariance over all processes.

    s is `target_std`, the target standard deviation of each dimension.

    Shape:
        - vectors: `(n, d)`, equally many on every process, at least two in total
        - output: `()`

    References:
        An alternative to SIGReg; the squared norm is CORAL's: Sun & Saenko 2016, arXiv 1607.01719,
        equation 1, with I as the other covariance.

    Example:
        >>> covariance_isotropy(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), target_std=1.0)
        tensor(0.7071)
    """
    centred, count = centre(vectors / target_std)
    covariance = all_reduce_sum(centred.T @ centred) / (count - 1)
    identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    distance: Tensor = torch.linalg.matrix_norm(covariance - identity)
    return distance / len(covariance)
