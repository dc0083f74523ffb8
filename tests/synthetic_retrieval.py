"""Small trainings of a projection on made-up data; as a program, one in a folder."""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from embedlab.encoders.parameters import EncoderParameters
from embedlab.isotropic.models import IsotropicData
from embedlab.isotropic.parameters import IsotropicTrainingParameters
from embedlab.isotropic.training import train_isotropic
from embedlab.parameters import merge
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.loop import train_on_devices
from embedlab.training.step_log import StepLog

N_TRAIN, N_VALIDATION, DIMENSION, N_TOPICS = 180, 60, 16, 6

# In three batches an epoch, without dropout.
PARAMETERS = {
    "projection_learning_rate": 3e-3,
    "projection": {"dropout": 0},
    "objective": {"lambda_isotropy": 0.1, "lambda_reg": 0.5, "num_slices": 32},
    "training": {"max_epochs": 4, "batch_size": 60},
}
# The same with a base that trains, whose first two layers do not.
UNFROZEN = {
    "freeze_base": False,
    "frozen_layers": 2,
    "base_learning_rate": 1e-3,
    "training": {"max_epochs": 2, "batch_size": 12},
}


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def triples_of(n_pairs, n_documents):
    """Pair i is query i with document i; every third pair lacks one of its two negatives."""
    own = np.arange(n_pairs)
    second = np.where(own % 3 == 0, -1, (own + 19) % n_documents)
    return np.column_stack([own, own, (own + 7) % n_documents, second])


def vector_data():
    """Queries and their documents of one topic, which lies elsewhere for queries."""
    random, n = np.random.default_rng(0), N_TRAIN + N_VALIDATION
    topics = random.normal(size=(n, N_TOPICS))
    mixing, shift = random.normal(size=(2, N_TOPICS, DIMENSION))
    noise = 0.5 * random.normal(size=(2, n, DIMENSION)) + 1
    queries = unit(topics @ (mixing + 0.6 * shift) + noise[0])
    documents = unit(topics @ mixing + noise[1])
    validation = np.column_stack([np.arange(N_TRAIN, n)] * 2)
    return IsotropicData(queries, documents, triples_of(N_TRAIN, n), validation)


def text_data(folder):
    """Documents of five words, two of which are the query, for a tiny BERT in this folder."""
    words = [f"word{i}" for i in range(30)]
    drawn = np.random.default_rng(0).permuted(np.tile(words, (36, 1)), axis=1)[:, :5]
    encoder = EncoderParameters.model_validate(
        {"kind": "sentence_transformer", "model": str(tiny_bert(folder, words))}
    )
    validation = np.column_stack([np.arange(24, 36)] * 2)
    queries, documents = ([" ".join(row) for row in part] for part in (drawn[:, :2], drawn))
    return IsotropicData(queries, documents, triples_of(24, 36), validation, encoder.root)


def tiny_bert(folder, words):
    """Write a BERT of four layers that has no dropout."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    BertTokenizerFast({token: i for i, token in enumerate(tokens)}).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=5 + len(words),
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        hidden_dropout_prob=0,
        attention_probs_dropout_prob=0,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def parameters_of(*changes):
    settings = PARAMETERS
    for own in changes:
        settings = merge(settings, own)
    return IsotropicTrainingParameters.model_validate(settings)


@dataclass(frozen=True)
class Job:
    """A training that is yet to run."""

    data: IsotropicData
    parameters: IsotropicTrainingParameters
    checkpoint: Checkpoint
    log: StepLog

    def train(self, devices=1):
        options = self.data, self.parameters, self.checkpoint, self.log
        return train_on_devices(partial(train_isotropic, *options), devices)


def job_in(folder, data, *changes):
    """The training that keeps its checkpoint and its log in this folder."""
    folder.mkdir(exist_ok=True)
    checkpoint = Checkpoint(folder / "projection.pt", "this training")
    log = StepLog(folder / "projection.jsonl")
    return Job(data, parameters_of(*changes), checkpoint, log)


def long_job(folder):
    """A training that can be caught at work, in the middle of an epoch too."""
    training = {"max_epochs": 60, "patience": 60, "checkpoint_interval": 2}
    return job_in(folder, vector_data(), {"training": training, "projection": {"dropout": 0.1}})


if __name__ == "__main__":
    torch.set_num_threads(1)
    long_job(Path(sys.argv[1])).train(*map(int, sys.argv[2:]))
