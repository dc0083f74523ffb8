"""Small pre-trainings of a resource encoder, twelve configurations to read from; as a program, one.

The frozen language model has random weights: it can still be led to some words rather than others.
"""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from synthetic_language_models import PROMPT, tiny_language_model

from embedlab.encoders.parameters import LanguageModelSource
from embedlab.parameters import merge
from embedlab.resource_encoder.configs import default_tool_configs
from embedlab.resource_encoder.samples import AugmentationParameters, DescribedConfigs, augment
from embedlab.resource_encoder.tools import default_tool_registry
from embedlab.resource_encoder.training import (
    ResourceData,
    ResourceTrainingParameters,
    train_resource_encoder,
)
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.loop import train_on_devices
from embedlab.training.step_log import StepLog

N_CONFIGS = 12

# In three batches an epoch.
PARAMETERS = {
    "prompt": PROMPT,
    "encoder": {"num_heads": 4, "frequencies": 2, "mlp_size": 32},
    "training": {
        "max_epochs": 4,
        "batch_size": 8,
        "learning_rate": 1e-2,
        "warmup_steps": 2,
        "max_gradient_norm": 1.0,
        "schedule": "cosine",
        "target_loss": None,
    },
}


def resource_data(folder):
    """Two copies of each configuration of two tools, for a language model in this folder."""
    registry = default_tool_registry()[:2]
    configs = default_tool_configs(registry, seed=0)
    configs = configs.iloc[:: len(configs) // N_CONFIGS][:N_CONFIGS]
    samples = augment(configs, AugmentationParameters(mode="both", num_copies=2), seed=0)
    names = registry["tool_name"].tolist()
    return ResourceData(
        LanguageModelSource(model=str(tiny_language_model(folder))),
        registry["description"].tolist(),
        DescribedConfigs.from_table(samples, names),
        DescribedConfigs.from_table(samples[:N_CONFIGS], names),
    )


def parameters_of(*changes):
    settings = PARAMETERS
    for own in changes:
        settings = merge(settings, own)
    return ResourceTrainingParameters.model_validate(settings)


@dataclass(frozen=True)
class Job:
    """A pre-training that is yet to run."""

    data: ResourceData
    parameters: ResourceTrainingParameters
    checkpoint: Checkpoint
    log: StepLog

    def train(self, devices=1):
        options = self.data, self.parameters, self.checkpoint, self.log
        return train_on_devices(partial(train_resource_encoder, *options), devices)


def job_in(folder, data, *changes):
    """The pre-training that keeps its checkpoint and its log in this folder."""
    folder.mkdir(exist_ok=True)
    checkpoint = Checkpoint(folder / "encoder.pt", "this training")
    log = StepLog(folder / "encoder.jsonl")
    return Job(data, parameters_of(*changes), checkpoint, log)


def long_job(folder):
    """A pre-training that can be caught at work, in the middle of an epoch too."""
    training = {"max_epochs": 24, "patience": 24, "checkpoint_interval": 2}
    return job_in(folder, resource_data(folder / "llm"), {"training": training})


if __name__ == "__main__":
    torch.set_num_threads(1)
    long_job(Path(sys.argv[1])).train()
