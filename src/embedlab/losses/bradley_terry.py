"""The Bradley-Terry loss of preference pairs."""

from torch import Tensor
from torch.nn.functional import softplus


def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Compute the negative log-likelihood of a preference: -log sigmoid(chosen - rejected).

    Shape:
        - chosen, rejected: `(b,)`, rewards of the responses
        - output: `(b,)`, one loss per pair, which the caller weights and averages

    References:
        Bradley & Terry 1952, Rank Analysis of Incomplete Block Designs, Biometrika 39, equation 1;
        as a reward model's loss: Ouyang et al. 2022, arXiv 2203.02155, equation 1.

    Example:
        >>> import torch
        >>> bradley_terry_loss(torch.tensor([1.0, 5.0]), torch.tensor([1.0, 2.0]))
        tensor([0.6931, 0.0486])
    """
    return softplus(rejected - chosen)
