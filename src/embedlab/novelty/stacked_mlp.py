"""Several multi-layer perceptrons of one shape, trained at once by batched matrix products."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor, nn


class StackedMLP:
    """m networks of linear layers with a ReLU between each two.

    The gradient of the squared error is written out: it fills the same memory in every step, where
    autograd would build the same graph anew.

    Attributes:
        weights: of each layer, `(m, in, out)`.
        biases: of each layer, `(m, 1, out)`.
    """

    def __init__(self, networks: Sequence[nn.Sequential]):
        layers = list(zip(*map(_linear, networks), strict=True))
        self.weights = [torch.stack([layer.weight.detach().T for layer in same]) for same in layers]
        self.biases = [
            torch.stack([layer.bias.detach()[None] for layer in same]) for same in layers
        ]
        self._gradients = [torch.zeros_like(part) for part in self._parts()]

    def parameters(self) -> list[nn.Parameter]:
        """The stacked weights and biases, with the gradients that each step fills."""
        parameters = [nn.Parameter(part) for part in self._parts()]
        for parameter, gradient in zip(parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return parameters

    @torch.no_grad()
    def squared_error(self, inputs: Tensor, goals: Tensor) -> Tensor:
        """The mean squared error of each network, whose gradient is left in the parameters.

        Args:
            inputs: `(m, b, d)`.
            goals: `(m, b, o)`.

        Returns:
            `(m,)`.
        """
        activations = [inputs]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            activations.append(torch.baddbmm(bias, activations[-1], weight).relu_())
        errors = torch.baddbmm(self.biases[-1], activations[-1], self.weights[-1]).sub_(goals)
        losses = errors.square().mean(dim=(1, 2))
        self._backward(activations, errors.mul_(2 / errors[0].numel()))
        return losses

    @torch.no_grad()
    def copy_to(self, networks: Sequence[nn.Sequential]) -> None:
        """Give the networks the weights and biases of this stack."""
        for member, network in enumerate(networks):
            for layer, weight, bias in zip(
                _linear(network), self.weights, self.biases, strict=True
            ):
                layer.weight.copy_(weight[member].T)
                layer.bias.copy_(bias[member, 0])

    def _backward(self, activations: Sequence[Tensor], gradient: Tensor) -> None:
        """Fill the gradients, given that of the outputs (m, b, o)."""
        n_layers = len(self.weights)
        for i in reversed(range(n_layers)):
            torch.bmm(activations[i].mT, gradient, out=self._gradients[i])
            torch.sum(gradient, dim=1, keepdim=True, out=self._gradients[n_layers + i])
            if i:
                gradient = torch.bmm(gradient, self.weights[i].mT).mul_(activations[i] > 0)

    def _parts(self) -> chain[Tensor]:
        return chain(self.weights, self.biases)


def _linear(network: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in network if isinstance(layer, nn.Linear)]
