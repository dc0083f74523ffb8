"""The loss of dimensions that collapse."""

from torch import Tensor

from embedlab.distributed.collectives import all_reduce_sum, centre

# Keeps the gradient of the root finite where a dimension is constant.
EPSILON = 1e-4


def variance_regularisation(vectors: Tensor, target_std: float) -> Tensor:
    """The mean over dimensions of `max(0, 1 - sqrt(Var(x_j / s) + epsilon))`.

    s is the target's standard deviation in each dimension, and Var the unbiased variance over the
    vectors of all processes.

    Args:
        vectors: a batch, as large on every process, of at least two vectors in all.
        target_std: s.

    Shape:
        - vectors: `(n, d)`
        - output: `()`

    References:
        Bardes, Ponce & LeCun 2022 (VICReg), arXiv 2105.04906, equations 1 and 2 with gamma = 1.
    """
    centred, count = centre(vectors / target_std)
    variances = all_reduce_sum(centred.square().sum(0)) / (count - 1)
    return (1 - (variances + EPSILON).sqrt()).relu().mean()
