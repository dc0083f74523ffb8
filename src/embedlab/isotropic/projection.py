"""The projection that makes embeddings isotropic, for retrieval by Euclidean distance."""

from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from embedlab.errors import InputError
from embedlab.parameters import Parameters


class ProjectionParameters(Parameters):
    """The shape of the projection.

    Attributes:
        kind: `residual`, an MLP plus a linear map that starts as an isometry, or `mlp` alone.
        start: of `mlp`; `isometry` needs a hidden layer at least twice as wide as the input.
        output_dim: null for the input's width.
        hidden_size: width of the hidden layer; null for twice the input's width.
        dropout: of hidden units.
    """

    kind: Literal["residual", "mlp"] = "residual"
    start: Literal["random", "isometry"] = "random"
    output_dim: int | None = Field(None, ge=1)
    hidden_size: int | None = Field(None, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)


class GaussianProjection(nn.Module):
    """Project base embeddings to vectors that are not normalised, compared by Euclidean distance.

    With x the L2-normalised input, `mlp` is V dropout(gelu(U x + b)) + c. `residual` adds W x,
    where W starts as an isometry and V as zero, so that outputs start with the Euclidean order of
    x, which is the order by cosine. An mlp can start as the same isometry, with V = [W, -W, 0],
    U = [I, -I, random] and no biases, since gelu(z) - gelu(-z) = z. Random weights come from
    torch's global generator.

    Shape:
        - input: `(..., d)`
        - output: `(..., output_dim)`

    Raises:
        InputError: if the hidden layer is too narrow for `start: isometry`.

    Example:
        >>> projection = GaussianProjection(384, ProjectionParameters(output_dim=128)).eval()
        >>> embeddings = torch.randn(1000, 384)
        >>> projection.initialise(embeddings)  # to the principal components
        >>> projection(embeddings).shape
        torch.Size([1000, 128])
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
            self._set_linear_map(torch.eye(self.output_dim, input_dim))

    def forward(self, embeddings: Tensor) -> Tensor:
        """The projected vectors."""
        units = normalize(embeddings, dim=-1)
        projected: Tensor = self.output(self.hidden(units))
        return projected if self.skip is None else self.skip(units) + projected

    @torch.no_grad()
    def initialise(self, sample: Tensor) -> None:
        """Fit an isometric start to a sample of base embeddings; a random start is left unchanged.

        The sample's mean is mapped to the origin, which preserves all distances. An output narrower
        than the input keeps the principal components: of all projections of that rank, they
        preserve most of the squared distances between the sample's rows.

        Shape:
            - sample: `(n, d)`

        References:
            Eckart & Young 1936, doi 10.1007/BF02288367; Gower 1966, doi 10.1093/biomet/53.3-4.325.
        """
        if self.starts_random:
            return
        units = normalize(sample.double(), dim=1)
        mean = units.mean(dim=0)
        weight = torch.eye(self.output_dim, self.input_dim).to(mean)
        if self.output_dim < self.input_dim:
            scatter = (units - mean).T @ (units - mean)
            directions = torch.linalg.eigh(scatter).eigenvectors  # by ascending variance
            weight = directions[:, -self.output_dim :].flip(1).T
        self._set_linear_map(weight)
        self.output.bias.copy_(-weight @ mean)

    def dense_layers(self) -> list[tuple[Tensor, Tensor]]:
        """Express the projection of unit vectors as two dense layers, with a GELU between them.

        The skip connection becomes hidden units, since gelu(z) - gelu(-z) = z: gelu(z) = z Phi(z)
        and Phi(z) + Phi(-z) = 1, with Phi the normal distribution function (Hendrycks & Gimpel
        2016, arXiv 1606.08415).

        Returns:
            For each layer the weight `(out, in)` and the bias `(out,)`.
        """
        first, bias = self._first.weight.detach(), self._first.bias.detach()
        second = self.output.weight.detach()
        if self.skip is not None:
            identity, skip = torch.eye(self.input_dim).to(first), self.skip.weight.detach()
            first = torch.cat([identity, -identity, first])  # (2d + h, d)
            bias = torch.cat([bias.new_zeros(2 * self.input_dim), bias])
            second = torch.cat([skip, -skip, second], dim=1)  # (output_dim, 2d + h)
        return [(first, bias), (second, self.output.bias.detach())]

    @property
    def _first(self) -> nn.Linear:
        return cast(nn.Linear, self.hidden[0])

    @torch.no_grad()
    def _pass_input_through(self) -> None:
        """Make the first hidden units of an mlp the input and its negative."""
        width = self.input_dim
        if self._first.out_features < 2 * width:
            raise InputError(
                f"projection.hidden_size is {self._first.out_features}; start: isometry needs "
                f"{2 * width} or more, twice the base's width"
            )
        self._first.weight[: 2 * width] = torch.cat([torch.eye(width), -torch.eye(width)])
        self._first.bias[: 2 * width] = 0

    @torch.no_grad()
    def _set_linear_map(self, weight: Tensor) -> None:
        """Make the function x -> `weight` x + output.bias, with weight `(output_dim, d)`."""
        self.output.weight.zero_()
        if self.skip is not None:
            self.skip.weight.copy_(weight)
        else:
            self.output.weight[:, : 2 * self.input_dim] = torch.cat([weight, -weight], dim=1)
