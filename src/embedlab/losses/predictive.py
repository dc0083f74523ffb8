"""The loss of predicting one embedding of a pair from the other."""

from torch import Tensor


def predictive_loss(predicted: Tensor, targets: Tensor) -> Tensor:
    """Compute the mean over pairs of `|predicted - sg(target)|^2`, sg stopping the gradient.

    Shape:
        - predicted: `(b, d)`, predicted from the other text of each pair
        - targets: `(b, d)`
        - output: `()`

    References:
        Assran et al. 2023 (I-JEPA), arXiv 2301.08243, section 3.

    Example:
        >>> import torch
        >>> predictive_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.0]]))
        tensor(5.)
    """
    return (predicted - targets.detach()).square().sum(dim=1).mean()
