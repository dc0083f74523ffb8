"""How many tokens of a text a model can read."""

import sys

from torch import nn

from embedlab.encoders.parameters import ModelParameters
from embedlab.errors import InputError


def bounded_length(parameters: ModelParameters, default: int | None, model: nn.Module) -> int:
    """Upper bound on a text's tokens: `max_length`, or what the model has positions for.

    Args:
        parameters: those of the encoder.
        default: the bound where the parameters have none.
        model: a transformer.

    Raises:
        InputError: if the parameters ask for more than the model has positions for.
    """
    wanted, limit = parameters.max_length, num_positions(model)
    if wanted and wanted > limit:
        name = f"{parameters.noun} {parameters.model}"
        raise InputError(f"{name}: max_length {wanted} is above its limit {limit}")
    return min(wanted or default or limit, limit)


def num_positions(model: nn.Module) -> int:
    """How many tokens a transformer has positions for; `sys.maxsize` if nothing bounds them."""
    configs = [getattr(module, "config", None) for module in model.modules()]
    limits = [getattr(config, "max_position_embeddings", None) or 0 for config in configs]
    for module in model.modules():
        table = getattr(module, "position_embeddings", None)
        if isinstance(table, nn.Embedding) and table.padding_idx is not None:
            # In RoBERTa's family, positions start after that of padding.
            limits.append(table.num_embeddings - table.padding_idx - 1)
    return min((limit for limit in limits if limit > 0), default=sys.maxsize)
