"""Nodes of the encoder_pretrain pipeline: tools, a language model, training, decoding."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from embedlab.distributed.processes import training_device
from embedlab.encoders.parameters import LanguageModelSource
from embedlab.pipelines.encoder_pretrain.parameters import (
    DecodingParameters,
    EncoderPretrainParameters,
)
from embedlab.resource_encoder.configs import default_tool_configs, read_tool_configs
from embedlab.resource_encoder.descriptions import exact_match_rates
from embedlab.resource_encoder.language_model import language_model_version
from embedlab.resource_encoder.plots import plot_exact_match, plot_loss
from embedlab.resource_encoder.reader import load_config_reader
from embedlab.resource_encoder.samples import (
    AugmentationParameters,
    DescribedConfigs,
    augment,
    unseen_jitter,
)
from embedlab.resource_encoder.small_language_model import (
    SmallLanguageModel,
    SmallLanguageModelParameters,
    train_small_language_model,
)
from embedlab.resource_encoder.tools import default_tool_registry, read_tool_registry
from embedlab.resource_encoder.training import MEASURE, ResourceData, train_resource_encoder
from embedlab.training.checkpoints import CheckpointFolder
from embedlab.training.history import History
from embedlab.training.loop import train_on_devices

logger = logging.getLogger(__name__)


def load_tools(
    tool_registry: str | None, tool_configs: str | None, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Load the tools and the profile of their configurations.

    Raises:
        InputError: naming the fault of a file.
    """
    registry = read_tool_registry(Path(tool_registry)) if tool_registry else default_tool_registry()
    if tool_configs:
        return registry, read_tool_configs(Path(tool_configs), registry)
    logger.info("The latencies of the tools are synthetic: computed by a formula, not measured")
    return registry, default_tool_configs(registry, seed)


def describe_configs(
    configs: pd.DataFrame, augmentation: AugmentationParameters, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Describe the augmented configurations to train on, and jittered ones to test on."""
    samples = augment(configs, augmentation, seed)
    return samples, unseen_jitter(configs, samples, augmentation.jitter, seed)


def make_language_model(
    configs: pd.DataFrame,
    checkpoints: CheckpointFolder,
    settings: SmallLanguageModelParameters,
    prompt: str,
    augmentation: AugmentationParameters,
) -> SmallLanguageModel:
    """Train a small language model on descriptions of configurations."""
    jitter = augmentation.jitter
    identity = {"prompt": prompt, "jitter": jitter} | settings.model_dump(mode="json")
    checkpoint = checkpoints.checkpoint("small_language_model", identity)
    trained, history = train_small_language_model(configs, prompt, jitter, settings, checkpoint)
    logger.info(
        "Small language model of %s parameters: loss per token %.3f, %.0f s",
        *(f"{trained.model.num_parameters():,}", history.best[MEASURE], history.seconds),
    )
    return trained


def pretrain_encoder(
    registry: pd.DataFrame,
    configs: pd.DataFrame,
    samples: pd.DataFrame,
    checkpoints: CheckpointFolder,
    parameters: EncoderPretrainParameters,
    small_language_model: Path | None = None,
) -> tuple[dict[str, Any], pd.DataFrame, dict[str, Any]]:
    """Train the encoder; return it, its losses by step, and a summary.

    Raises:
        InputError: if the training cannot start.
    """
    source = parameters.language_model_source(small_language_model)
    names = registry["tool_name"].tolist()
    described = DescribedConfigs.from_table(samples, names)
    first_copies = DescribedConfigs.from_table(samples[: len(configs)], names)
    data = ResourceData(source, registry["description"].tolist(), described, first_copies)
    settings = parameters.encoder_training
    identity = {"language_model": language_model_version(source)}
    config = settings.model_dump(mode="json")
    checkpoint = checkpoints.checkpoint("encoder", config)
    log = parameters.step_log(checkpoint, config)
    train = partial(train_resource_encoder, data, settings, checkpoint, log)
    content, history = train_on_devices(train, parameters.devices)
    name = parameters.language_model.model if parameters.language_model else "small (made here)"
    content |= identity | {"language_model_name": name, "tool_names": names, "parameters": config}
    return content, pd.DataFrame(log.rows()), _summary(history, settings.training.target_loss, name)


def decode_descriptions(
    encoder: dict[str, Any],
    registry: pd.DataFrame,
    samples: pd.DataFrame,
    unseen: pd.DataFrame,
    language_model: LanguageModelSource | None,
    decoding: DecodingParameters,
    small_language_model: Path | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Let the LLM decode the vectors of the configurations and of unseen ones; rate the texts.

    Raises:
        InputError: if the encoder was trained with another LLM.
    """
    source = language_model or LanguageModelSource(model=str(small_language_model))
    reader = load_config_reader(encoder, source, training_device())
    configs, size = samples[: samples["config_id"].nunique()], decoding.batch_size
    tables = []
    for name, rows in {"configurations": configs, "unseen_jitter": unseen}.items():
        starts = tqdm(range(0, len(rows), size), desc=f"decode {name}", unit="batch")
        decoded = [text for start in starts for text in reader.read(rows[start : start + size])]
        tables.append(rows[["config_id", "text"]].assign(set=name, decoded=decoded))
    table = pd.concat(tables, ignore_index=True)
    rates: dict[str, Any] = {
        str(name): {"texts": len(rows)}
        | exact_match_rates(rows["decoded"].tolist(), rows["text"].tolist(), template=0)
        for name, rows in table.groupby("set", sort=False)
    }
    for name, rate in rates.items():
        shares = 100 * rate["description"], rate["texts"]
        logger.info("%s: %.1f %% of %d descriptions decoded without an error", name, *shares)
    return table, rates


def plot_pretraining(
    history: pd.DataFrame, rates: dict[str, Any], target_loss: float | None
) -> tuple[Figure, Figure]:
    """Plot the loss by step, and the shares of fields that are decoded without an error."""
    rows: list[dict[str, Any]] = history.to_dict("records")  # type: ignore[assignment]
    bars = {
        name: {field: value for field, value in rate.items() if field != "texts"}
        for name, rate in rates.items()
    }
    return plot_loss(rows, target_loss), plot_exact_match(bars)


def _summary(history: History, target: float | None, name: str) -> dict[str, Any]:
    loss, steps = history.best[MEASURE], history.last["step"]
    reached = target is not None and loss <= target
    missed = target is not None and not reached
    outcome = f"target {target}: {'missed' if missed else 'reached'}" if target else "no target"
    logger.log(
        logging.WARNING if missed else logging.INFO,
        "Resource encoder: loss per token %.4f (%s) after %d steps, %.0f s",
        *(loss, outcome, steps, history.seconds),
    )
    return {
        "language_model": name,
        "validation_loss": loss,
        "target_loss": target,
        "reached": reached,
        "epochs": history.last["epoch"],
        "steps": steps,
        "seconds": history.seconds,
    }
