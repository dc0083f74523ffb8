"""The models of an isotropic training: initialisation, parameter groups and saved states."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn

from embedlab.encoders.parameters import AnyEncoder
from embedlab.errors import InputError
from embedlab.isotropic.inputs import CachedInputs, OnlineInputs, RetrievalInputs
from embedlab.isotropic.parameters import IsotropicTrainingParameters
from embedlab.isotropic.projection import GaussianProjection
from embedlab.training.recomputation import recompute_activations

if TYPE_CHECKING:
    from embedlab.isotropic.trainable_encoder import TrainableEncoder

# Maximum number of documents that initialise a projection.
SAMPLE_SIZE = 8192


@dataclass(frozen=True)
class IsotropicData:
    """The input of a training.

    Attributes:
        queries: base vectors `(n, d)` for a frozen base, n texts for a trained one.
        documents: base vectors `(m, d)`, or m texts.
        triples: indices of query, positive and negatives of each training pair, int64
            `(p, 2 + h)`; -1 for a missing negative.
        validation: indices of query and positive of each validation pair, int64 `(v, 2)`.
        encoder: the base encoder, if the base is trained.
        start: initial weights, as returned by `train_isotropic`; None for a new model.
    """

    queries: np.ndarray | list[str]
    documents: np.ndarray | list[str]
    triples: np.ndarray
    validation: np.ndarray
    encoder: AnyEncoder | None = None
    start: dict[str, Any] | None = None


def build_model(
    data: IsotropicData, parameters: IsotropicTrainingParameters, device: torch.device
) -> tuple[nn.Module, RetrievalInputs]:
    """The initial model, and what encodes rows of queries and documents with it.

    Raises:
        InputError: if `data.start` has other shapes, or a trained base where this one is frozen.
    """
    model: nn.Module
    inputs: RetrievalInputs
    if parameters.freeze_base:
        queries, documents = np.asarray(data.queries), np.asarray(data.documents)
        model = projection = GaussianProjection(documents.shape[1], parameters.projection)
        inputs = CachedInputs(queries, documents, device)
        sample = documents[_sample_rows(len(documents), SAMPLE_SIZE, parameters.seed)]
    else:
        # Imported late: slow, and not needed for a frozen base.
        from embedlab.isotropic.trainable_encoder import TrainableEncoder, load_base

        assert data.encoder is not None
        base = load_base(data.encoder)
        dimension = base.get_embedding_dimension() or 0
        projection = GaussianProjection(dimension, parameters.projection)
        model = TrainableEncoder(base, projection)
        if parameters.frozen_layers is not None:
            model.freeze_early_layers(parameters.frozen_layers)
        if parameters.gradient_checkpointing:
            recompute_activations(base)
        inputs = OnlineInputs(list(data.queries), list(data.documents), model)
        rows = _sample_rows(len(data.documents), 4 * dimension, parameters.seed)
        sample = base.to(device).encode_document([data.documents[row] for row in rows])
    projection.initialise(torch.from_numpy(np.asarray(sample)))
    if data.start is not None:
        _load_states(model, data.start)
    return model.to(device), inputs


def _sample_rows(num_rows: int, size: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).permutation(num_rows)[:size])


def model_states(model: nn.Module) -> dict[str, Any]:
    """The weights of a trained model on the CPU; `base` is None for a frozen base."""
    projection, base = _projection_and_base(model)
    return {
        "projection": _cpu_state(projection),
        "base": None if base is None else _cpu_state(base),
        "input_dim": projection.input_dim,
    }


def parameter_groups(
    model: nn.Module, parameters: IsotropicTrainingParameters
) -> list[dict[str, Any]]:
    """The parameters to train, with a learning rate for the base and one for the projection."""
    projection, base = _projection_and_base(model)
    rates = parameters.base_learning_rate, parameters.projection_learning_rate
    return [
        {"params": [p for p in part.parameters() if p.requires_grad], "lr": rate}
        for part, rate in zip((base, projection), rates, strict=True)
        if part is not None
    ]


def _projection_and_base(model: nn.Module) -> tuple[GaussianProjection, nn.Module | None]:
    if isinstance(model, GaussianProjection):
        return model, None
    encoder = cast("TrainableEncoder", model)
    return encoder.projection, encoder.base


def _cpu_state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {key: tensor.cpu() for key, tensor in module.state_dict().items()}


def _load_states(model: nn.Module, start: dict[str, Any]) -> None:
    """Initialise a model with the weights of another training."""
    projection, base = _projection_and_base(model)
    if start["base"] is not None and base is None:
        raise InputError(
            "load_checkpoint: its base was trained, too; continue with freeze_base: false"
        )
    try:
        projection.load_state_dict(start["projection"])
        if start["base"] is not None and base is not None:
            base.load_state_dict(start["base"])
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"load_checkpoint: other shapes; give the same projection ({reason:.120})"
        ) from error
