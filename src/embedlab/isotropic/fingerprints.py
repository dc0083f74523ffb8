"""Fingerprints of the training data: a checkpoint is used only if its fingerprint matches."""

from typing import get_args

from embedlab.encoders.collection import TextCollection
from embedlab.encoders.embeddings import Embeddings
from embedlab.encoders.parameters import AnyEncoder, ExecutionParameters, Role
from embedlab.encoders.recipe import make_recipe
from embedlab.isotropic.models import IsotropicData
from embedlab.isotropic.parameters import IsotropicTrainingParameters
from embedlab.training.checkpoints import Checkpoint, CheckpointFolder, run_fingerprint

# `encoder`: the encoder's fingerprint by role; `texts`: the SHA-256 of the texts by role.
DataFingerprints = dict[str, dict[Role, str]]


def fingerprints_of_vectors(queries: Embeddings, documents: Embeddings) -> DataFingerprints:
    """The fingerprints of cached vectors, from the metadata of both collections."""
    keys = {"encoder": "fingerprint", "texts": "texts_sha256"}
    return {
        name: {"query": queries.metadata[key], "document": documents.metadata[key]}
        for name, key in keys.items()
    }


def fingerprints_of_texts(
    encoder: AnyEncoder, queries: TextCollection, documents: TextCollection
) -> DataFingerprints:
    """The fingerprints of texts, and of the encoder that is trained on them in float32."""
    execution = ExecutionParameters(precision="float32")
    return {
        "encoder": {
            role: make_recipe(encoder, role, execution).fingerprint for role in get_args(Role)
        },
        "texts": {"query": queries.digest, "document": documents.digest},
    }


def training_checkpoint(
    folder: CheckpointFolder,
    name: str,
    fingerprints: DataFingerprints,
    parameters: IsotropicTrainingParameters,
    data: IsotropicData,
) -> Checkpoint:
    """The checkpoint of the training on these data with these parameters, on any `devices`."""
    settings = {"data": fingerprints, "parameters": parameters.model_dump(mode="json")}
    start = data.start or {}
    states = [start.get(part) or {} for part in ("projection", "base")]
    weights = [tensor.numpy() for state in states for tensor in state.values()]
    fingerprint = run_fingerprint(settings, data.triples, data.validation, *weights)
    return folder.checkpoint(name, fingerprint)
