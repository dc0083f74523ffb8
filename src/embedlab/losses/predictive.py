"""The loss of predicting one embedding from another."""

from torch import Tensor


def predictive_loss(predicted: Tensor, targets: Tensor) -> Tensor:
    """The mean over pairs of `|predicted - sg(target)|^2`, where sg stops the gradient.

    Args:
        predicted: embeddings predicted from the other half of a pair.
        targets: the embeddings to predict, which get no gradient.

    Shape:
        - predicted, targets: `(b, d)`
        - output: `()`

    References:
        Assran et al. 2023 (I-JEPA), arXiv 2301.08243, section 3.
    """
    return (predicted - targets.detach()).square().sum(dim=1).mean()
