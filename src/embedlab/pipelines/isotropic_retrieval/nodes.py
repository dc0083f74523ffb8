"""Nodes of the isotropic_retrieval pipeline: training pairs, training, vectors, export."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from embedlab.encoders.collection import (
    TextCollection,
    pair_document_texts,
    pair_query_texts,
)
from embedlab.encoders.parameters import EncoderParameters
from embedlab.errors import InputError
from embedlab.isotropic.hard_negatives import mine_hard_negatives
from embedlab.isotropic.identity import (
    Identity,
    identity_of_texts,
    identity_of_vectors,
    training_checkpoint,
)
from embedlab.isotropic.inputs import project
from embedlab.isotropic.models import IsotropicData
from embedlab.isotropic.plots import plot_training_curves
from embedlab.isotropic.projection import (
    ISOTROPIC,
    GaussianProjection,
    ProjectionParameters,
)
from embedlab.isotropic.rows import (
    pair_rows,
    triple_rows,
    triples_table,
    validation_rows,
)
from embedlab.isotropic.training import MEASURE, load_projection, train_isotropic
from embedlab.pipelines.isotropic_retrieval.parameters import (
    IsotropicRetrievalParameters,
    Stage,
)
from embedlab.sources.retrieval_set import RetrievalSet
from embedlab.tensor_files import read_tensors
from embedlab.training.checkpoints import CheckpointFolder
from embedlab.training.devices import train_on_devices

logger = logging.getLogger(__name__)

Model = dict[str, Any]
LOSSES = ("loss", "contrastive", "isotropy", "reg", "predictive")


def triple_miner(stage: Stage, encoder: str) -> Callable[..., pd.DataFrame]:
    """The node function that gives the stage's training pairs hard negatives by cached vectors."""

    def mine_triples(
        train: pd.DataFrame,
        validation: pd.DataFrame,
        documents: pd.DataFrame,
        query_embeddings: np.ndarray,
        query_ids: list[str],
        query_metadata: dict[str, Any],
        document_embeddings: np.ndarray,
        document_ids: list[str],
        document_metadata: dict[str, Any],
        parameters: IsotropicRetrievalParameters,
    ) -> pd.DataFrame:
        pair_query_texts(train, validation).check_embeddings_of(
            f"{encoder}.{stage}_queries", query_embeddings, query_ids, query_metadata
        )
        pair_document_texts(documents).check_embeddings_of(
            f"{encoder}.{stage}_documents", document_embeddings, document_ids, document_metadata
        )
        rows = pair_rows(train, query_ids, document_ids)
        judged = validation_rows(validation, query_ids, document_ids, stage)
        mined = mine_hard_negatives(
            query_embeddings,
            document_embeddings,
            rows[:, :2],
            np.concatenate([rows[:, :2], judged]),
            parameters.trainings()[stage].hard_negatives,
        )
        return triples_table(rows, mined, query_ids, document_ids)

    return mine_triples


def list_triples(
    train: pd.DataFrame, validation: pd.DataFrame, documents: pd.DataFrame
) -> pd.DataFrame:
    """The stage's training pairs with the negatives that they bring."""
    query_ids = pair_query_texts(train, validation).ids
    document_ids = documents["id"].tolist()
    rows = pair_rows(train, query_ids, document_ids)
    return triples_table(rows, np.empty((len(rows), 0), np.int64), query_ids, document_ids)


def trainer_on_vectors(stage: Stage) -> Callable[..., tuple[Model, pd.DataFrame, dict[str, Any]]]:
    """The node function that trains the stage's projection on cached vectors."""

    def train_projection(
        triples: pd.DataFrame,
        validation: pd.DataFrame,
        query_embeddings: np.ndarray,
        query_ids: list[str],
        query_metadata: dict[str, Any],
        document_embeddings: np.ndarray,
        document_ids: list[str],
        document_metadata: dict[str, Any],
        checkpoints: CheckpointFolder,
        parameters: IsotropicRetrievalParameters,
        pretrained: Model | None = None,
    ) -> tuple[Model, pd.DataFrame, dict[str, Any]]:
        data = IsotropicData(
            query_embeddings,
            document_embeddings,
            triple_rows(triples, query_ids, document_ids),
            validation_rows(validation, query_ids, document_ids, stage),
            start=pretrained or _start(parameters),
        )
        identity = identity_of_vectors(query_metadata, document_metadata)
        return _train(stage, data, identity, parameters, checkpoints)

    return train_projection


def trainer_on_texts(stage: Stage) -> Callable[..., tuple[Model, pd.DataFrame, dict[str, Any]]]:
    """The node function that trains the stage's projection together with its base."""

    def train_encoder(
        triples: pd.DataFrame,
        train: pd.DataFrame,
        validation: pd.DataFrame,
        documents: pd.DataFrame,
        encoder: EncoderParameters,
        checkpoints: CheckpointFolder,
        parameters: IsotropicRetrievalParameters,
        pretrained: Model | None = None,
    ) -> tuple[Model, pd.DataFrame, dict[str, Any]]:
        queries = pair_query_texts(train, validation)
        document_ids = documents["id"].tolist()
        data = IsotropicData(
            queries.parts[0],
            documents["text"].tolist(),
            triple_rows(triples, queries.ids, document_ids),
            validation_rows(validation, queries.ids, document_ids, stage),
            encoder.root,
            pretrained or _start(parameters),
        )
        identity = identity_of_texts(encoder.root, queries, pair_document_texts(documents))
        return _train(stage, data, identity, parameters, checkpoints)

    return train_encoder


def plot_training(history: pd.DataFrame) -> Figure:
    """The losses by step, and nDCG@10 on the validation queries."""
    losses = [name for name in LOSSES if name in history]
    rows: list[dict[str, Any]] = history.to_dict("records")  # type: ignore[assignment]
    return plot_training_curves(rows, losses)


def export_model(
    model: Model, summary: dict[str, Any], pairs: pd.DataFrame, encoder: EncoderParameters
) -> Any:
    """The projection behind its base, as a folder that sentence-transformers loads."""
    # Imported late: slow, and no other node needs any of it.
    from embedlab.datasets.sentence_transformer_folder import DocumentedModel
    from embedlab.isotropic.export import build_sentence_transformer
    from embedlab.isotropic.model_card import ModelFacts, model_card
    from embedlab.isotropic.trainable_encoder import load_base

    base = load_base(encoder.root)
    if model["base"] is not None:
        base.load_state_dict(model["base"])
    projection = _projection(model)
    facts: ModelFacts = {
        "name": "isotropic",
        "base_model": getattr(encoder.root, "model", ""),
        "dimension": projection.output_dim,
        "max_length": base.max_seq_length or 0,
        "data": [
            {"source": source, "training pairs": int(count)}
            for source, count in pairs["source"].value_counts().items()
        ],
        "parameters": model["parameters"],
        "metrics": [
            {"weights": name, f"{MEASURE} on the validation queries": summary[name]}
            for name in ("start", "best")
        ],
    }
    return DocumentedModel(build_sentence_transformer(base, projection), model_card(facts))


def project_embeddings(
    model: Model, embeddings: np.ndarray, ids: list[str], metadata: dict[str, Any]
) -> tuple[np.ndarray, list[str], dict[str, Any]]:
    """Cached vectors (n, d) of the base as those of the projection (n, output_dim).

    Raises:
        InputError: if the vectors are not of the projection's base.
    """
    if metadata["fingerprint"] != model["encoder"][metadata["role"]]:
        raise InputError(
            "isotropic_model was trained on another encoder's vectors; "
            "run `kedro run --pipelines=isotropic_retrieval` again"
        )
    device = torch.device("cpu")
    projected = project(_projection(model), embeddings, np.arange(len(embeddings)), device)
    return projected, ids, _describe(projected, metadata)


def text_encoder(collection: Callable[..., TextCollection]) -> Callable[..., Any]:
    """The node function that encodes this collection of a retrieval set by the exported model."""

    def encode_texts(
        model: Any, retrieval_set: RetrievalSet
    ) -> tuple[np.ndarray, list[str], dict[str, Any]]:
        texts = collection(retrieval_set)
        encode = model.encode_query if texts.role == "query" else model.encode_document
        vectors = np.asarray(encode(texts.parts[0], show_progress_bar=True), dtype=np.float32)
        metadata = {"role": texts.role, "id_scheme": texts.id_scheme, "texts_sha256": texts.digest}
        return vectors, texts.ids, _describe(vectors, metadata)

    return encode_texts


def _train(
    stage: Stage,
    data: IsotropicData,
    identity: Identity,
    parameters: IsotropicRetrievalParameters,
    checkpoints: CheckpointFolder,
) -> tuple[Model, pd.DataFrame, dict[str, Any]]:
    """Train, and say how it went."""
    own = parameters.trainings()[stage]
    checkpoint = training_checkpoint(checkpoints, stage, identity, own, data)
    log = parameters.step_log(checkpoint, own.model_dump(mode="json"))
    train = partial(train_isotropic, data, own, checkpoint, log, stage)
    model, history = train_on_devices(train, parameters.devices)
    summary = {
        "training_pairs": len(data.triples),
        "validation_queries": len(np.unique(data.validation[:, 0])),
        "start": history.rows[0][MEASURE],
        "best": history.best[MEASURE],
        "best_step": history.best["step"],
        "steps": history.last["step"],
        "seconds": history.seconds,
        "devices": parameters.devices,
    }
    logger.info(
        "%s: nDCG@10 on validation queries %.1f -> %.1f at step %d of %d, %.0f s",
        *(stage, 100 * summary["start"], 100 * summary["best"]),
        *(summary["best_step"], summary["steps"], history.seconds),
    )
    described = {"parameters": own.model_dump(mode="json"), "encoder": identity["encoder"]}
    return model | described, pd.DataFrame(log.rows()), summary


def _start(parameters: IsotropicRetrievalParameters) -> Model | None:
    """The model that the first training goes on from."""
    if parameters.load_checkpoint is None:
        return None
    path = Path(parameters.load_checkpoint)
    if not path.is_file():
        raise InputError(f"load_checkpoint: {path}: no such file; give a best_model.pt")
    start = read_tensors(path)
    if not {"projection", "base"} <= start.keys():
        raise InputError(
            f"load_checkpoint: {path}: holds no trained projection; give a best_model.pt"
        )
    return start


def _projection(model: Model) -> GaussianProjection:
    shape = ProjectionParameters.model_validate(model["parameters"]["projection"])
    return load_projection(model, shape)


def _describe(vectors: np.ndarray, metadata: dict[str, Any]) -> dict[str, Any]:
    """What is to be known of vectors (n, d), JSON-ready."""
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))  # with no copy of all vectors
    names = ("role", "id_scheme", "texts_sha256")
    return {
        "n_items": vectors.shape[0],
        "embedding_dim": vectors.shape[1],
        "model": ISOTROPIC,
        "norm": {name: float(getattr(norms, name)()) for name in ("min", "mean", "max", "std")},
        **{name: metadata[name] for name in names},
    }
