"""The loss of dimensions whose variance collapses."""

from torch import Tensor

from embedlab.distributed.processes import all_reduce_sum, centre

# Keeps the gradient of the square root finite where a dimension is constant.
EPSILON = 1e-4


def variance_regularisation(vectors: Tensor, target_std: float) -> Tensor:
    """Compute the mean over dimensions of `max(0, 1 - sqrt(Var(x_j / s) + epsilon))`.

    Var is the unbiased variance over the vectors of all processes; s is `target_std`, the target
    standard deviation of each dimension.

    Shape:
        - vectors: `(n, d)`, equally many on every process, at least two in total
        - output: `()`

    References:
        Bardes, Ponce & LeCun 2022 (VICReg), arXiv 2105.04906, equations 1 and 2 with gamma = 1.

    Example:
        >>> import torch
        >>> variance_regularisation(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), target_std=1.0)
        tensor(0.4950)
    """
    centred, count = centre(vectors / target_std)
    variances = all_reduce_sum(centred.square().sum(0)) / (count - 1)
    return (1 - (variances + EPSILON).sqrt()).relu().mean()
