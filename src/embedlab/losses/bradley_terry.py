"""The loss of pairwise preferences."""

from torch import Tensor
from torch.nn.functional import softplus


def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Minus the log-likelihood that the chosen answer wins: -log sigmoid(chosen - rejected).

    Args:
        chosen: rewards of the chosen answers.
        rejected: rewards of the rejected answers.

    Shape:
        - chosen, rejected: `(b,)`
        - output: `(b,)`, one loss a pair, to be weighted and averaged by the caller

    References:
        Bradley & Terry 1952, Rank Analysis of Incomplete Block Designs, Biometrika 39, equation 1;
        as a reward model's loss: Ouyang et al. 2022, arXiv 2203.02155, equation 1.
    """
    return softplus(rejected - chosen)
