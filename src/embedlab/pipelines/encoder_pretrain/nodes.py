"""Nodes of the encoder_pretrain pipeline: tools, a language model, training, and the proof."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from embedlab.distributed.processes import training_device
from embedlab.pipelines.encoder_pretrain.parameters import EncoderPretrainParameters
from embedlab.resource_encoder.configs import default_tool_configs, read_tool_configs
from embedlab.resource_encoder.descriptions import exact_match_rates
from embedlab.resource_encoder.language_model import language_model_version
from embedlab.resource_encoder.plots import plot_exact_match, plot_loss
from embedlab.resource_encoder.provenance import check_descriptions, configs_sha256
from embedlab.resource_encoder.reader import load_config_reader
from embedlab.resource_encoder.samples import DescribedConfigs, augment, unseen_jitter
from embedlab.resource_encoder.small_language_model import (
    SmallLanguageModel,
    train_small_language_model,
)
from embedlab.resource_encoder.tools import default_tool_registry, read_tool_registry
from embedlab.resource_encoder.training import MEASURE, ResourceData, train_resource_encoder
from embedlab.training.checkpoints import CheckpointFolder, run_fingerprint
from embedlab.training.history import History
from embedlab.training.loop import train_on_devices
from embedlab.training.step_log import check_installed

logger = logging.getLogger(__name__)


def load_tools(parameters: EncoderPretrainParameters) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tools, and the profile of their configurations.

    Raises:
        InputError: for files that are not in order, and if an extra that training is to write to is
            not installed: told before a language model is trained.
    """
    check_installed(tensorboard=parameters.tensorboard, wandb=parameters.wandb)
    registry = (
        read_tool_registry(Path(parameters.tool_registry))
        if parameters.tool_registry
        else default_tool_registry()
    )
    if parameters.tool_configs:
        return registry, read_tool_configs(Path(parameters.tool_configs), registry)
    logger.info("The latencies of the tools are synthetic: a formula's, and no clock's")
    return registry, default_tool_configs(registry, parameters.seed)


def describe_configs(
    configs: pd.DataFrame, parameters: EncoderPretrainParameters
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The augmented configurations to train on, and jittered ones that are not trained on."""
    samples = augment(configs, parameters.augmentation, parameters.seed)
    jitter = parameters.augmentation.jitter
    return samples, unseen_jitter(configs, samples, jitter, parameters.seed)


def make_language_model(
    configs: pd.DataFrame, checkpoints: CheckpointFolder, parameters: EncoderPretrainParameters
) -> SmallLanguageModel:
    """A small language model that knows descriptions of configurations."""
    own = parameters.small_language_model
    prompt, jitter = parameters.prompt, parameters.augmentation.jitter
    content = [prompt, jitter, own.model_dump(), configs.to_json(double_precision=15)]
    fingerprint = run_fingerprint({"small_language_model": content})
    checkpoint = checkpoints.checkpoint("small_language_model", fingerprint)
    made, history = train_small_language_model(configs, prompt, jitter, own, checkpoint)
    logger.info(
        "Small language model of %s parameters: loss %.3f a token, %.0f s",
        f"{made.model.num_parameters():,}",
        history.best[MEASURE],
        history.seconds,
    )
    return made


def pretrain_encoder(
    registry: pd.DataFrame,
    configs: pd.DataFrame,
    samples: pd.DataFrame,
    checkpoints: CheckpointFolder,
    parameters: EncoderPretrainParameters,
    small_language_model: Path | None = None,
) -> tuple[dict[str, Any], pd.DataFrame, dict[str, Any]]:
    """Train the encoder, and say how it went.

    Raises:
        InputError: as training does, and if the samples are of other configurations.
    """
    sha256 = configs_sha256(registry, configs)
    check_descriptions(samples[: len(configs)], registry, sha256)
    source = parameters.language_model_source(small_language_model)
    names = registry["tool_name"].tolist()
    described = DescribedConfigs.from_table(samples, names)
    data = ResourceData(
        source,
        registry["description"].tolist(),
        described,
        DescribedConfigs.from_table(samples[: len(configs)], names),
    )
    own = parameters.encoder_training
    identity = {"language_model": language_model_version(source), "data": sha256}
    config = own.model_dump(mode="json")
    settings = identity | config | {"samples": described.content}
    checkpoint = checkpoints.checkpoint("encoder", run_fingerprint(settings))
    log = parameters.step_log(checkpoint, config)
    train = partial(train_resource_encoder, data, own, checkpoint, log)
    content, history = train_on_devices(train, parameters.devices)
    name = parameters.language_model.model if parameters.language_model else "small (made here)"
    provenance = identity | {"language_model_name": name, "tool_names": names}
    content |= provenance | {"parameters": config}
    return content, pd.DataFrame(log.rows()), _summary(history, own.training.target_loss, name)


def decode_descriptions(
    encoder: dict[str, Any],
    registry: pd.DataFrame,
    samples: pd.DataFrame,
    unseen: pd.DataFrame,
    parameters: EncoderPretrainParameters,
    small_language_model: Path | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What the LLM writes of each vector, for configurations as they are and for unseen ones.

    Raises:
        InputError: if the encoder was trained against another LLM, or on other configurations.
    """
    source = parameters.language_model_source(small_language_model)
    reader = load_config_reader(encoder, source, training_device())
    configs, size = samples[: samples["config_id"].nunique()], parameters.decoding.batch_size
    check_descriptions(configs, registry, encoder["data"])
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
    for name, own in rates.items():
        shares = 100 * own["description"], own["texts"]
        logger.info("%s: %.1f %% of %d descriptions decoded to the letter", name, *shares)
    return table, rates


def plot_pretraining(
    history: pd.DataFrame, rates: dict[str, Any], parameters: EncoderPretrainParameters
) -> tuple[Figure, Figure]:
    """The loss by step, and what is decoded right."""
    rows: list[dict[str, Any]] = history.to_dict("records")  # type: ignore[assignment]
    bars = {
        name: {field: rate for field, rate in own.items() if field != "texts"}
        for name, own in rates.items()
    }
    return plot_loss(rows, parameters.training.target_loss), plot_exact_match(bars)


def _summary(history: History, target: float | None, name: str) -> dict[str, Any]:
    best = history.best
    summary = {
        "language_model": name,
        "validation_loss": best[MEASURE],
        "target_loss": target,
        "reached": target is not None and best[MEASURE] <= target,
        "epochs": history.last["epoch"],
        "steps": history.last["step"],
        "seconds": history.seconds,
    }
    missed = target is not None and not summary["reached"]
    outcome = f"target {target}: {'missed' if missed else 'reached'}" if target else "no target"
    logger.log(
        logging.WARNING if missed else logging.INFO,
        "Resource encoder: loss %.4f a token (%s) after %d steps, %.0f s",
        *(summary["validation_loss"], outcome, summary["steps"], summary["seconds"]),
    )
    return summary
