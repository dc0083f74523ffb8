"""The projection that makes embeddings isotropic, for retrieval by Euclidean distance."""

from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from embedlab.errors import InputError
from embedlab.parameters import Parameters


class ProjectionParameters(Parameters):
    """The shape of the projection.

    Attributes:
        kind: `residual` starts as an isometry of its input; `mlp` starts as `start` says.
        start: of the mlp: at random, or as an isometry, too, which takes a hidden layer of at least
            twice the input's width.
        output_dim: width of the output; the input's when absent.
        hidden_size: width of the hidden layer; twice the input's when absent.
        dropout: share of hidden units that a training step leaves out.
    """

    kind: Literal["residual", "mlp"] = "residual"
    start: Literal["random", "isometry"] = "random"
    output_dim: int | None = Field(None, ge=1)
    hidden_size: int | None = Field(None, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)


class DenseLayer(NamedTuple):
    """activation(weight x + bias), with weight `(out, in)` and bias `(out,)`."""

    weight: Tensor
    bias: Tensor
    activation: Literal["gelu", "identity"]


class GaussianProjection(nn.Module):
    """Base embeddings to vectors that are not normalised, compared by Euclidean distance.

    Inputs are L2-normalised first, which those of most bases are already.

    `mlp` is V dropout(gelu(U x + b)) + c, from random initialisation. `residual` adds W x, where W
    starts as an isometry and V at zero: the Euclidean order of its outputs is at first that of its
    inputs, which for unit vectors is the order by cosine. An mlp can start as the same isometry
    W x, with U = [I, -I, random], V = [W, -W, 0] and no biases: gelu(z) - gelu(-z) = z. What is
    random is initialised by torch's global generator.

    Shape:
        - input: `(..., d)`
        - output: `(..., output_dim)`
    """

    def __init__(self, input_dim: int, parameters: ProjectionParameters):
        super().__init__()
        hidden_size = parameters.hidden_size or 2 * input_dim
        self.input_dim = input_dim
        self.output_dim = parameters.output_dim or input_dim
        self.hidden = nn.Sequential(
            nn.Linear(input_dim, hidden_size), nn.GELU(), nn.Dropout(parameters.dropout)
        )
        self.output = nn.Linear(hidden_size, self.output_dim)
        self.skip: nn.Linear | None = None
        self.starts_random = parameters.kind == "mlp" and parameters.start == "random"
        if parameters.kind == "residual":
            self.skip = nn.Linear(input_dim, self.output_dim, bias=False)
        elif parameters.start == "isometry":
            self._pass_input_through()
        if not self.starts_random:
            nn.init.zeros_(self.output.bias)
            self._start_as(torch.eye(self.output_dim, input_dim))

    def forward(self, embeddings: Tensor) -> Tensor:
        """The projected vectors."""
        units = normalize(embeddings, dim=-1)
        projected: Tensor = self.output(self.hidden(units))
        return projected if self.skip is None else self.skip(units) + projected

    @torch.no_grad()
    def initialise(self, sample: Tensor) -> None:
        """Fit an isometric start to base embeddings `sample` (n, d).

        The sample's mean goes to the origin, which leaves every distance as it is. An output that
        is narrower than the input keeps the principal components: no other projection of that
        rank loses less of the squared distances between the sample's rows (Eckart & Young 1936,
        doi 10.1007/BF02288367; Gower 1966, doi 10.1093/biomet/53.3-4.325). A random start stays.
        """
        if self.starts_random:
            return
        units = normalize(sample.double(), dim=1)
        mean = units.mean(dim=0)
        weight = torch.eye(self.output_dim, self.input_dim).to(mean)
        if self.output_dim < self.input_dim:
            weight = _principal_components(units - mean, self.output_dim)
        self._start_as(weight)
        self.output.bias.copy_(-weight @ mean)

    @torch.no_grad()
    def _pass_input_through(self) -> None:
        """Let the first hidden units of an mlp be the input and its negative."""
        into, width = self.hidden[0], self.input_dim
        assert isinstance(into, nn.Linear)
        if into.out_features < 2 * width:
            raise InputError(
                f"projection.hidden_size is {into.out_features}; start: isometry needs "
                f"{2 * width} or more, twice the base's width"
            )
        into.weight[: 2 * width] = torch.cat([torch.eye(width), -torch.eye(width)])
        into.bias[: 2 * width] = 0

    @torch.no_grad()
    def _start_as(self, weight: Tensor) -> None:
        """Make the function `weight` x + bias, with weight `(out, in)`."""
        self.output.weight.zero_()
        if self.skip is not None:
            self.skip.weight.copy_(weight)
        else:
            self.output.weight[:, : 2 * self.input_dim] = torch.cat([weight, -weight], dim=1)

    def dense_layers(self) -> list[DenseLayer]:
        """The same function of unit vectors, dropout apart, as two layers that any library has.

        The skip connection passes through the GELU unharmed: gelu(z) = z Phi(z), with Phi the
        normal distribution function (Hendrycks & Gimpel 2016, arXiv 1606.08415), and
        Phi(z) + Phi(-z) = 1; therefore gelu(z) - gelu(-z) = z.
        """
        into = self.hidden[0]
        assert isinstance(into, nn.Linear)
        first, bias = into.weight.detach(), into.bias.detach()
        second = self.output.weight.detach()
        if self.skip is not None:
            identity, skip = torch.eye(self.input_dim).to(first), self.skip.weight.detach()
            first = torch.cat([identity, -identity, first])  # (2d + h, d)
            bias = torch.cat([bias.new_zeros(2 * self.input_dim), bias])
            second = torch.cat([skip, -skip, second], dim=1)  # (out, 2d + h)
        return [
            DenseLayer(first, bias, "gelu"),
            DenseLayer(second, self.output.bias.detach(), "identity"),
        ]


def _principal_components(centred: Tensor, rank: int) -> Tensor:
    """The `rank` orthonormal directions (rank, d) of the largest variance, largest first."""
    _, directions = torch.linalg.eigh(centred.T @ centred)  # in ascending order of variance
    return directions[:, -rank:].flip(1).T
