"""A decoder in two levels: first the tool, then one of the tool's configurations."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Self

import torch
from torch import Tensor, nn

from embedlab.errors import InputError


class HierarchicalDecoder(nn.Module):
    """Scores tools, and the configurations of one tool, from hidden states.

    A configuration's score is the dot product of the hidden state with a weight row, which an
    exported vector can initialise. Configurations of other tools get a score of minus infinity
    before the softmax, so their probability and the gradient of their rows are exactly zero.

    Args:
        hidden_size: dimension h of the hidden states.
        tool_mask: whether each configuration belongs to each tool, bool `(T, C)`.

    Shape:
        - hidden: `(b, h)`; tools: int64 `(b,)`
        - output: logits of the tools `(b, T)`, log-probabilities of the configurations `(b, C)`

    Raises:
        InputError: if a tool has no configuration.

    Example:
        >>> decoder = HierarchicalDecoder(4, tool_mask=torch.eye(3, dtype=torch.bool))
        >>> tool_logits, log_probabilities = decoder(torch.randn(1, 4), tools=torch.tensor([1]))
        >>> log_probabilities.exp().tolist()
        [[0.0, 1.0, 0.0]]
    """

    tool_mask: Tensor

    def __init__(self, hidden_size: int, tool_mask: Tensor):
        super().__init__()
        num_tools, num_configs = tool_mask.shape
        if empty := (~tool_mask.any(dim=1)).nonzero().flatten().tolist():
            raise InputError(f"tools: no configuration is of tool {empty[0]}; leave the tool out")
        self.register_buffer("tool_mask", tool_mask)
        self.tool_head = nn.Linear(hidden_size, num_tools)
        self.config_head = nn.Linear(hidden_size, num_configs, bias=False)

    @classmethod
    def from_export(
        cls, config_weights: Mapping[str, Any], tool_mask_map: Mapping[str, Sequence[int]]
    ) -> Self:
        """Make a decoder whose configurations start from exported vectors.

        Args:
            config_weights: of `config_weights.pt`: weights `(C, h)`, num_configs C, hidden_dim h.
            tool_mask_map: of `tool_mask_map.json`: the configurations of each tool, in order.

        Raises:
            InputError: if the weights do not have the declared shape, or the map does not assign
                each of their C rows to one tool.
        """
        weights, *declared = map(config_weights.get, ("weights", "num_configs", "hidden_dim"))
        shape = list(weights.shape) if isinstance(weights, Tensor) else None
        if weights is None or shape != declared:
            fault = f"weights of shape {shape}, but num_configs and hidden_dim say {declared}"
            raise InputError(f"config_weights: {fault}; export them again")
        decoder = cls(weights.shape[1], _tool_mask(tool_mask_map, len(weights)))
        decoder.set_config_weights(weights)
        return decoder

    def set_config_weights(self, weights: Tensor) -> None:
        """Replace the weight rows of the configurations by `weights` (C, h)."""
        with torch.no_grad():
            self.config_head.weight.copy_(weights)

    def forward(self, hidden: Tensor, tools: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Score all tools, and the configurations of the given or else the most probable tools."""
        tool_logits = self.tool_head(hidden)
        allowed = self.tool_mask[tool_logits.argmax(dim=1) if tools is None else tools]
        scores = self.config_head(hidden).masked_fill(~allowed, -torch.inf)
        return tool_logits, scores.log_softmax(dim=1)

    def decode(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The most probable tool and its most probable configuration: int64 `(b,)` each."""
        tool_logits, config_log_probabilities = self(hidden)
        return tool_logits.argmax(dim=1), config_log_probabilities.argmax(dim=1)


def resources(
    config_lookup: Mapping[str, Mapping[str, Any]],
    tool_names: Sequence[str],
    tool_id: int,
    config_id: int,
) -> dict[str, Any]:
    """Look up the tool and the resources of a decoded configuration.

    Args:
        config_lookup: of `config_lookup.json`.
        tool_names: the keys of `tool_mask_map.json`.
        tool_id: index of the decoded tool.
        config_id: of the decoded configuration.

    Raises:
        InputError: if there is no such tool or configuration, or it belongs to another tool.
    """
    if not 0 <= tool_id < len(tool_names):
        raise InputError(f"tool {tool_id}: there is none; tools are 0 to {len(tool_names) - 1}")
    entry = config_lookup.get(str(config_id))
    if entry is None:
        raise InputError(f"config_lookup: no configuration {config_id}")
    if entry["tool_name"] != tool_names[tool_id]:
        fault = f"is of {entry['tool_name']}, not of {tool_names[tool_id]} (tool {tool_id})"
        raise InputError(f"config_lookup: configuration {config_id} {fault}")
    return dict(entry)


def _tool_mask(tool_mask_map: Mapping[str, Sequence[int]], num_configs: int) -> Tensor:
    """The map as bool `(T, C)`."""
    listed = list(chain.from_iterable(tool_mask_map.values()))
    if sorted(listed) != list(range(num_configs)):
        raise InputError(
            f"tool_mask_map: must list each configuration from 0 to {num_configs - 1} once, as "
            f"config_weights has {num_configs} (got {len(listed)}, {len(set(listed))} different)"
        )
    mask = torch.zeros(len(tool_mask_map), num_configs, dtype=torch.bool)
    for row, configs in zip(mask, tool_mask_map.values(), strict=True):
        row[configs] = True
    return mask
