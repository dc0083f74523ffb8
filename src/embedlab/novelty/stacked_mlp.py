"""Several multi-layer perceptrons of one shape, computed at once by batched matrix products."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class StackedMLP(nn.Module):
    """Copies of m networks of linear layers with a ReLU between each two.

    Shape:
        - input: `(m, b, d)`
        - output: `(m, b, o)`
    """

    def __init__(self, networks: Sequence[nn.Sequential]):
        super().__init__()
        layers = list(zip(*map(_linear, networks), strict=True))
        self.weights = nn.ParameterList(  # (m, in, out) each
            torch.stack([layer.weight.detach().T for layer in stacked]) for stacked in layers
        )
        self.biases = nn.ParameterList(  # (m, 1, out) each
            torch.stack([layer.bias.detach()[None] for layer in stacked]) for stacked in layers
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """The outputs of each network for its own inputs."""
        outputs = inputs
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            outputs = torch.baddbmm(bias, outputs.relu() if i else outputs, weight)
        return outputs

    @torch.no_grad()
    def copy_to(self, networks: Sequence[nn.Sequential]) -> None:
        """Copy weights and biases into the networks."""
        for i, network in enumerate(networks):
            for j, layer in enumerate(_linear(network)):
                layer.weight.copy_(self.weights[j][i].T)
                layer.bias.copy_(self.biases[j][i, 0])


def _linear(network: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in network if isinstance(layer, nn.Linear)]
