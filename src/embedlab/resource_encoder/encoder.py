"""The resource encoder: a tool and six resource values to one input embedding of an LLM."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from embedlab.errors import InputError
from embedlab.parameters import Parameters
from embedlab.resource_encoder.configs import RESOURCES
from embedlab.statistics.standardise import Standardise

NUM_RESOURCES = len(RESOURCES)
# The lowest initial frequency, in periods per standard deviation of a value.
MIN_FREQUENCY = 0.125


class ResourceEncoderParameters(Parameters):
    """Architecture of the resource encoder.

    Attributes:
        tool_representation: vector of a tool in the LLM: the mean input embedding of its
            description's tokens, or the last hidden state at the last of them.
        fusion: how the vectors of tool and resources are combined.
        num_heads: attention heads of the fusion; null for as many as the LLM has.
        frequencies: number of sines and of cosines per value.
        max_frequency: highest initial frequency, in periods per standard deviation of a value;
            high frequencies resolve the last digits of a number.
        mlp_size: hidden units of the MLP on the resource values.
    """

    tool_representation: Literal["mean_embedding", "last_hidden_state"] = "mean_embedding"
    fusion: Literal["self_attention", "gated_cross_attention"] = "self_attention"
    num_heads: int | None = Field(8, ge=1)
    frequencies: int = Field(64, ge=1)
    max_frequency: float = Field(64.0, gt=MIN_FREQUENCY)
    mlp_size: int = Field(512, ge=1)


class PeriodicFeatures(nn.Module):
    """Each value with its sines and cosines at learned frequencies.

    A plain MLP needs long training to separate close values; periodic features do not (Gorishniy
    et al. 2022, arXiv 2203.05556, section 3.3). The frequencies start as a geometric series.

    Shape:
        - input: `(b, n)`
        - output: `(b, n * (1 + 2 * num_frequencies))`
    """

    def __init__(self, num_values: int, num_frequencies: int, max_frequency: float):
        super().__init__()
        exponents = math.log2(MIN_FREQUENCY), math.log2(max_frequency)
        series = torch.logspace(*exponents, num_frequencies, base=2)
        self.frequencies = nn.Parameter(series.repeat(num_values, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the features."""
        angles = (2 * math.pi * self.frequencies * x.unsqueeze(2)).flatten(1)  # (b, n * k)
        return torch.cat([x, angles.sin(), angles.cos()], dim=1)


class ResourceMLP(nn.Sequential):
    """Standardises six resource values and maps them to the LLM's hidden size h.

    Shape:
        - input: `(b, 6)`
        - output: `(b, h)`
    """

    def __init__(self, hidden_size: int, parameters: ResourceEncoderParameters):
        super().__init__()
        self.standardise = Standardise(NUM_RESOURCES)
        num_frequencies, mlp_size = parameters.frequencies, parameters.mlp_size
        self.layers = nn.Sequential(
            PeriodicFeatures(NUM_RESOURCES, num_frequencies, parameters.max_frequency),
            nn.Linear(NUM_RESOURCES * (1 + 2 * num_frequencies), mlp_size),
            nn.GELU(),
            nn.Linear(mlp_size, mlp_size),
            nn.GELU(),
            nn.Linear(mlp_size, hidden_size),
        )


class Fusion(nn.Module):
    """Combines the vectors of tools and of their resources by attention.

    Shape:
        - tools, resources: `(b, h)`
        - output: `(b, h)`
    """

    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.attention = nn.MultiheadAttention(hidden_size, num_heads, batch_first=True)


class SelfAttentionFusion(Fusion):
    """Self-attention with a residual over the two vectors, then their mean."""

    def forward(self, tools: Tensor, resources: Tensor) -> Tensor:
        """Combine the vectors."""
        pairs = torch.stack([tools, resources], dim=1)  # (b, 2, h)
        x = self.norm(pairs)
        attended: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return (pairs + attended).mean(dim=1)


class GatedCrossAttentionFusion(Fusion):
    """Adds cross-attention from the resources to the tool, scaled by a learned gate.

    The gate is tanh of a parameter that starts at zero (Alayrac et al. 2022, arXiv 2204.14198,
    section 2.2), so the untrained output is the resources' vector alone.
    """

    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__(hidden_size, num_heads)
        self.opening = nn.Parameter(torch.zeros(()))

    def forward(self, tools: Tensor, resources: Tensor) -> Tensor:
        """Combine the vectors."""
        context = tools.unsqueeze(1)  # (b, 1, h)
        query = self.norm(resources).unsqueeze(1)
        attended: Tensor = self.attention(query, context, context, need_weights=False)[0]
        return resources + self.opening.tanh() * attended.squeeze(1)


FUSIONS = {
    "self_attention": SelfAttentionFusion,
    "gated_cross_attention": GatedCrossAttentionFusion,
}


class ResourceEncoder(nn.Module):
    """Fuses a frozen vector of the tool and a trained one of the resource values.

    The output replaces an input embedding of the LLM, so it has their mean norm.

    Args:
        tools: the LLM's representation of each tool, `(T, h)`.
        norm: Euclidean norm of the output.
        num_heads: attention heads of the fusion.
        parameters: the rest of the architecture.

    Shape:
        - tools: int64 `(b,)`; values: `(b, 6)`
        - output: `(b, h)`

    Raises:
        InputError: if `num_heads` does not divide the hidden size.

    Example:
        >>> encoder = ResourceEncoder(torch.randn(7, 16), 2.0, 4, ResourceEncoderParameters())
        >>> encoder(torch.tensor([0, 6]), torch.rand(2, 6)).shape
        torch.Size([2, 16])
    """

    tools: Tensor
    norm: Tensor

    def __init__(
        self, tools: Tensor, norm: float, num_heads: int, parameters: ResourceEncoderParameters
    ):
        super().__init__()
        hidden_size = tools.shape[1]
        if hidden_size % num_heads:
            fault = f"the LLM's hidden size {hidden_size} is no multiple of {num_heads}"
            raise InputError(f"num_heads: {fault}; choose another number of heads")
        # The mean over tools does not distinguish them; the rest is scaled to components near 1.
        centred = normalize(tools.float() - tools.float().mean(dim=0)) * math.sqrt(hidden_size)
        self.register_buffer("tools", centred)
        self.register_buffer("norm", torch.tensor(norm))
        self.num_heads = num_heads
        self.tool_layer = nn.Linear(hidden_size, hidden_size)
        self.resource_mlp = ResourceMLP(hidden_size, parameters)
        self.fusion = FUSIONS[parameters.fusion](hidden_size, num_heads)
        self.output_norm = nn.LayerNorm(hidden_size)

    def forward(self, tools: Tensor, values: Tensor) -> Tensor:
        """Encode configurations."""
        fused = self.fusion(self.tool_layer(self.tools)[tools], self.resource_mlp(values))
        return normalize(self.output_norm(fused), dim=1) * self.norm

    def monitored(self) -> dict[str, Tensor]:
        """Quantities to log with the losses: the gate, if there is one."""
        if isinstance(self.fusion, GatedCrossAttentionFusion):
            return {"gate": self.fusion.opening.tanh()}
        return {}
