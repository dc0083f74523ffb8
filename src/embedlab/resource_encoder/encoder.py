"""The resource encoder: a tool and six resource values as one vector that an LLM reads."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from embedlab.errors import InputError
from embedlab.parameters import Parameters
from embedlab.statistics.standardise import Standardise

N_RESOURCES = 6
# Periods per standard deviation.
MIN_FREQUENCY = 0.125


class ResourceEncoderParameters(Parameters):
    """The shape of a resource encoder.

    Attributes:
        tool_representation: of a tool's description in the LLM: the mean of its tokens' input
            embeddings, or the last hidden state of its last token.
        fusion: of the two streams.
        num_heads: of the fusion's attention; null for as many as the LLM has.
        frequencies: of each value's sines and cosines.
        max_frequency: the highest one at the start, in periods per standard deviation of a value;
            the last digits of a number need many.
        mlp_size: hidden units of the resources' stream.
    """

    tool_representation: Literal["mean_embedding", "last_hidden_state"] = "mean_embedding"
    fusion: Literal["self_attention", "gated_cross_attention"] = "self_attention"
    num_heads: int | None = Field(8, ge=1)
    frequencies: int = Field(64, ge=1)
    max_frequency: float = Field(64.0, gt=MIN_FREQUENCY)
    mlp_size: int = Field(512, ge=1)


class PeriodicFeatures(nn.Module):
    """Every value beside its sines and cosines at trained frequencies.

    A plain MLP is slow to tell close values apart; periodic features are not (Gorishniy et al.
    2022, arXiv 2203.05556, section 3.3). The frequencies start as a geometric series.

    Shape:
        - input: `(b, n)`
        - output: `(b, n * (1 + 2 * frequencies))`
    """

    def __init__(self, n_values: int, frequencies: int, max_frequency: float):
        super().__init__()
        ends = math.log2(MIN_FREQUENCY), math.log2(max_frequency)
        series = torch.logspace(*ends, frequencies, base=2)
        self.frequencies = nn.Parameter(series.repeat(n_values, 1))

    def forward(self, x: Tensor) -> Tensor:
        """The features of values `(b, n)`."""
        angles = (2 * math.pi * self.frequencies * x.unsqueeze(2)).flatten(1)  # (b, n * k)
        return torch.cat([x, angles.sin(), angles.cos()], dim=1)


class ResourceMLP(nn.Module):
    """Six resource values, standardised, to the LLM's hidden size.

    Shape:
        - input: `(b, 6)`
        - output: `(b, h)`
    """

    def __init__(self, hidden_size: int, parameters: ResourceEncoderParameters):
        super().__init__()
        self.standardise = Standardise(N_RESOURCES)
        periodic = PeriodicFeatures(N_RESOURCES, parameters.frequencies, parameters.max_frequency)
        self.layers = nn.Sequential(
            periodic,
            nn.Linear(N_RESOURCES * (1 + 2 * parameters.frequencies), parameters.mlp_size),
            nn.GELU(),
            nn.Linear(parameters.mlp_size, parameters.mlp_size),
            nn.GELU(),
            nn.Linear(parameters.mlp_size, hidden_size),
        )

    def forward(self, values: Tensor) -> Tensor:
        """The stream of values `(b, 6)`."""
        streams: Tensor = self.layers(self.standardise(values))
        return streams


class Fusion(nn.Module):
    """Makes one vector of the two streams, by attention.

    Shape:
        - tools, resources: `(b, h)`
        - output: `(b, h)`
    """

    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.attention = nn.MultiheadAttention(hidden_size, num_heads, batch_first=True)


class SelfAttentionFusion(Fusion):
    """The two streams attend to one another; their mean is the result."""

    def forward(self, tools: Tensor, resources: Tensor) -> Tensor:
        """Fuse the streams."""
        streams = torch.stack([tools, resources], dim=1)  # (b, 2, h)
        x = self.norm(streams)
        attended, _ = self.attention(x, x, x, need_weights=False)
        return (streams + attended).mean(dim=1)


class GatedCrossAttentionFusion(Fusion):
    """The resources attend to the tool, through a gate that is shut at the start.

    There is one tool to attend to, so what comes through the gate is a linear map of the tool.
    The gate is the hyperbolic tangent of a trained number (Alayrac et al. 2022, arXiv 2204.14198,
    section 2.2): zero at first, so that the tool comes in as training opens it.
    """

    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__(hidden_size, num_heads)
        self.opening = nn.Parameter(torch.zeros(()))

    @property
    def gate(self) -> Tensor:
        """How far the gate is open, between -1 and 1."""
        return self.opening.tanh()

    def forward(self, tools: Tensor, resources: Tensor) -> Tensor:
        """Fuse the streams."""
        context = tools.unsqueeze(1)  # (b, 1, h)
        query = self.norm(resources).unsqueeze(1)
        attended, _ = self.attention(query, context, context, need_weights=False)
        return resources + self.gate * attended.squeeze(1)


FUSIONS: dict[str, type[Fusion]] = {
    "self_attention": SelfAttentionFusion,
    "gated_cross_attention": GatedCrossAttentionFusion,
}


class ResourceEncoder(nn.Module):
    """Tools (stream A, frozen) and resource values (stream B, trained), fused into one vector.

    The vector has the mean norm of the LLM's input embeddings, among which it is to stand.

    Args:
        tools: the LLM's representation of each tool `(T, h)`; constant, so it is computed once.
        norm: of the output.
        num_heads: of the fusion's attention.
        parameters: the shape of the rest.

    Shape:
        - tools: int64 `(b,)`; values: `(b, 6)`
        - output: `(b, h)`

    Raises:
        InputError: if the hidden size is no multiple of the number of heads.
    """

    tools: Tensor
    norm: Tensor

    def __init__(
        self, tools: Tensor, norm: float, num_heads: int, parameters: ResourceEncoderParameters
    ):
        super().__init__()
        hidden_size = tools.shape[1]
        if hidden_size % num_heads:
            raise InputError(
                f"num_heads: the LLM's hidden size {hidden_size} is no multiple of {num_heads}; "
                "choose another number of heads"
            )
        # What all tools have in common says nothing; the rest is scaled to components near 1.
        centred = normalize(tools.float() - tools.float().mean(dim=0)) * math.sqrt(hidden_size)
        self.register_buffer("tools", centred)
        self.register_buffer("norm", torch.tensor(norm))
        self.num_heads = num_heads
        self.tool_layer = nn.Linear(hidden_size, hidden_size)
        self.resource_mlp = ResourceMLP(hidden_size, parameters)
        self.fusion = FUSIONS[parameters.fusion](hidden_size, num_heads)
        self.output_norm = nn.LayerNorm(hidden_size)

    def forward(self, tools: Tensor, values: Tensor) -> Tensor:
        """The vectors of configurations."""
        fused = self.fusion(self.tool_layer(self.tools)[tools], self.resource_mlp(values))
        return normalize(self.output_norm(fused), dim=1) * self.norm

    def monitored(self) -> dict[str, Tensor]:
        """What is logged beside the losses."""
        if isinstance(self.fusion, GatedCrossAttentionFusion):
            return {"gate": self.fusion.gate}
        return {}
