"""Nodes of the weight_export pipeline: vectors, look-up tables, and decoders that use them."""

import logging
import time
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from embedlab.distributed.processes import training_device
from embedlab.resource_encoder.configs import config_tensors, resource_values, tool_positions
from embedlab.resource_encoder.demonstration import (
    DecoderDemonstrationParameters,
    demonstrate,
    summarise,
)
from embedlab.resource_encoder.export import (
    config_lookup,
    encode_configs,
    lookup_table,
    tool_mask_map,
)
from embedlab.resource_encoder.hierarchical_decoder import HierarchicalDecoder
from embedlab.resource_encoder.plots import plot_demonstration, plot_weights
from embedlab.resource_encoder.provenance import configs_sha256, encoder_sha256
from embedlab.resource_encoder.training import load_resource_encoder
from embedlab.statistics.projection import principal_plane
from embedlab.training.checkpoints import CheckpointFolder

logger = logging.getLogger(__name__)

Lookup = dict[str, dict[str, Any]]
MaskMap = dict[str, list[int]]


def export_weights(
    encoder: dict[str, Any],
    registry: pd.DataFrame,
    configs: pd.DataFrame,
    batch_size: int,
) -> tuple[dict[str, Any], Lookup, MaskMap]:
    """Encode every configuration; tabulate configurations by index, and indices by tool."""
    names = registry["tool_name"].tolist()
    device = training_device()
    tools, values = (tensor.to(device) for tensor in config_tensors(configs, names))
    model = load_resource_encoder(encoder).to(device)
    start = time.perf_counter()
    weights = encode_configs(model, tools, values, batch_size).cpu()
    seconds = time.perf_counter() - start
    logger.info("Exported %d vectors of %d dimensions in %.3f s", *weights.shape, seconds)
    exported = {
        "weights": weights,
        "num_configs": len(weights),
        "hidden_dim": weights.shape[1],
        "language_model": encoder["language_model"],
        "language_model_name": encoder["language_model_name"],
        "encoder_sha256": encoder_sha256(encoder),
        "data_sha256": configs_sha256(registry, configs),
    }
    return exported, config_lookup(configs), tool_mask_map(configs, names)


def demonstrate_decoder(
    exported: dict[str, Any],
    lookup: Lookup,
    mask_map: MaskMap,
    checkpoints: CheckpointFolder,
    parameters: DecoderDemonstrationParameters,
) -> tuple[pd.DataFrame, dict[str, Any], Figure]:
    """Compare decoders whose configuration weights start as these vectors or as random ones.

    Raises:
        InputError: if the vectors and the mask map do not fit.
    """
    HierarchicalDecoder.from_export(exported, mask_map)
    configs = lookup_table(lookup)
    results = demonstrate(
        exported["weights"],
        resource_values(configs),
        tool_positions(configs, list(mask_map)),
        parameters,
        checkpoints,
    )
    final = results[results["step"] == results["step"].max()]
    rates = final.groupby("start", sort=False)["accuracy"].mean()
    logger.info(
        "Decoder: accuracy on held-out requests after training, mean of %d seeds: %s",
        final["seed"].nunique(),
        ", ".join(f"{name} {rate:.1%}" for name, rate in rates.items()),
    )
    return results, summarise(results), plot_demonstration(results)


def plot_config_weights(exported: dict[str, Any], lookup: Lookup) -> Figure:
    """Plot the first two principal components of the vectors, by tool."""
    points, variance = principal_plane(exported["weights"].numpy(), seed=0)
    return plot_weights(points, lookup_table(lookup)["tool_name"].tolist(), variance)
