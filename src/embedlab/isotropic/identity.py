"""What decides a training's result beside the code: encoders, texts, rows, parameters, start."""

from typing import Any, get_args

import numpy as np

from embedlab.encoders.collection import TextCollection
from embedlab.encoders.parameters import AnyEncoder, ExecutionParameters, Role
from embedlab.encoders.recipe import make_recipe
from embedlab.isotropic.models import IsotropicData
from embedlab.isotropic.parameters import IsotropicTrainingParameters
from embedlab.training.checkpoints import Checkpoint, CheckpointFolder, run_fingerprint

# `encoder` and `texts`: for each role the encoder's fingerprint, and the digest of the texts.
Identity = dict[str, dict[Role, str]]


def identity_of_vectors(queries: dict[str, Any], documents: dict[str, Any]) -> Identity:
    """The identity of cached vectors, from the metadata of both collections."""
    names = {"encoder": "fingerprint", "texts": "texts_sha256"}
    return {
        part: {"query": queries[name], "document": documents[name]} for part, name in names.items()
    }


def identity_of_texts(
    encoder: AnyEncoder, queries: TextCollection, documents: TextCollection
) -> Identity:
    """The identity of texts that an encoder reads while it is trained, in float32."""
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
    identity: Identity,
    parameters: IsotropicTrainingParameters,
    data: IsotropicData,
) -> Checkpoint:
    """The checkpoint of this very training; the number of devices may change on the way."""
    settings = {"data": identity, "parameters": parameters.model_dump(mode="json")}
    arrays = [data.triples, data.validation, *_start_arrays(data)]
    return folder.checkpoint(name, run_fingerprint(settings, *arrays))


def _start_arrays(data: IsotropicData) -> list[np.ndarray]:
    """The weights that training goes on from."""
    parts = [data.start[name] for name in ("projection", "base")] if data.start else []
    return [tensor.numpy() for part in parts if part for tensor in part.values()]
