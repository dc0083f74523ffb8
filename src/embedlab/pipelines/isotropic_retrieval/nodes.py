"""Nodes of the isotropic_retrieval pipeline: training pairs, training, vectors, export."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.figure import Figure

from embedlab.encoders.collection import (
    TextCollection,
    corpus_texts,
    pair_query_texts,
    query_texts,
)
from embedlab.encoders.embeddings import Embeddings, NewEmbeddings, VectorStream, blocks_of
from embedlab.encoders.parameters import EncoderParameters, ExecutionParameters, Role
from embedlab.encoders.recipe import make_recipe
from embedlab.errors import InputError
from embedlab.isotropic.hard_negatives import HardNegativeParameters, mine_hard_negatives
from embedlab.isotropic.inputs import projected
from embedlab.isotropic.models import IsotropicData
from embedlab.isotropic.plots import plot_training_curves
from embedlab.isotropic.projection import GaussianProjection, ProjectionParameters
from embedlab.isotropic.rows import pair_rows, triple_rows, triples_table, validation_rows
from embedlab.isotropic.training import MEASURE, load_projection, train_isotropic
from embedlab.pipelines.isotropic_retrieval.parameters import IsotropicRetrievalParameters, Stage
from embedlab.retrieval.models import ISOTROPIC
from embedlab.tensor_files import read_tensors
from embedlab.training.checkpoints import CheckpointFolder
from embedlab.training.loop import train_on_devices

logger = logging.getLogger(__name__)

Model = dict[str, Any]
# The fingerprint of the base by role.
BaseFingerprints = Mapping[Any, str]
LOSSES = ("loss", "contrastive", "isotropy", "reg", "predictive")


def mine_triples(
    train: pd.DataFrame,
    validation: pd.DataFrame,
    query_embeddings: Embeddings,
    document_embeddings: Embeddings,
    parameters: HardNegativeParameters,
) -> pd.DataFrame:
    """Add hard negatives, mined by the base's vectors, to a stage's training pairs."""
    stage = _stage_of(query_embeddings)
    ids = query_embeddings.ids, document_embeddings.ids
    rows = pair_rows(train, *ids)
    judged = validation_rows(validation, *ids, stage)
    mined = mine_hard_negatives(
        query_embeddings.vectors,
        document_embeddings.vectors,
        rows[:, :2],
        np.concatenate([rows[:, :2], judged]),
        parameters,
    )
    return triples_table(rows, mined, *ids)


def list_triples(
    train: pd.DataFrame, validation: pd.DataFrame, documents: pa.Table
) -> pd.DataFrame:
    """Tabulate a stage's training pairs with the negatives given in the data."""
    query_ids = pair_query_texts(train, validation).ids
    rows = pair_rows(train, query_ids, documents["id"])
    return triples_table(rows, np.empty((len(rows), 0), np.int64), query_ids, documents["id"])


def train_projection(
    triples: pd.DataFrame,
    validation: pd.DataFrame,
    query_embeddings: Embeddings,
    document_embeddings: Embeddings,
    checkpoints: CheckpointFolder,
    parameters: IsotropicRetrievalParameters,
    pretrained: Model | None = None,
) -> tuple[Model, pd.DataFrame, dict[str, Any]]:
    """Train a stage's projection on the base's vectors."""
    stage = _stage_of(query_embeddings)
    data = data_of_vectors(triples, validation, query_embeddings, document_embeddings, stage)
    base = {
        vectors.metadata["role"]: vectors.metadata["fingerprint"]
        for vectors in (query_embeddings, document_embeddings)
    }
    data = replace(data, start=pretrained or _start(parameters, base))
    return _train(stage, data, base, parameters, checkpoints)


def data_of_vectors(
    triples: pd.DataFrame,
    validation: pd.DataFrame,
    queries: Embeddings,
    documents: Embeddings,
    stage: Stage,
) -> IsotropicData:
    """The input of a training on the base's vectors, for a new model."""
    rows = triple_rows(triples, queries.ids, documents.ids)
    judged = validation_rows(validation, queries.ids, documents.ids, stage)
    return IsotropicData(queries.vectors, documents.vectors, rows, judged)


def train_encoder(
    triples: pd.DataFrame,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    documents: pa.Table,
    encoder: EncoderParameters,
    checkpoints: CheckpointFolder,
    parameters: IsotropicRetrievalParameters,
    pretrained: Model | None = None,
) -> tuple[Model, pd.DataFrame, dict[str, Any]]:
    """Train a stage's projection together with its base."""
    # If there is a pre-training, its model initialises the second stage.
    is_first = parameters.pretraining is not None and pretrained is None
    stage: Stage = "pretraining" if is_first else "retrieval"
    queries = pair_query_texts(train, validation)
    ids = queries.ids, documents["id"]
    execution = ExecutionParameters(precision="float32")  # the base is trained in it
    roles: tuple[Role, ...] = get_args(Role)
    base = {role: make_recipe(encoder.root, role, execution).fingerprint for role in roles}
    data = IsotropicData(
        list(queries.parts[0]),
        documents["text"].to_pylist(),
        triple_rows(triples, *ids),
        validation_rows(validation, *ids, stage),
        encoder.root,
        pretrained or _start(parameters, base),
    )
    return _train(stage, data, base, parameters, checkpoints)


def plot_training(history: pd.DataFrame) -> Figure:
    """Plot the losses by step, and nDCG@10 on the validation queries."""
    losses = [name for name in LOSSES if name in history]
    rows: list[dict[str, Any]] = history.to_dict("records")  # type: ignore[assignment]
    return plot_training_curves(rows, losses)


def export_model(
    model: Model, summary: dict[str, Any], pairs: pd.DataFrame, encoder: EncoderParameters
) -> Any:
    """Export base and projection as one SentenceTransformer with its model card."""
    # Imported late: slow, and not needed by the other nodes.
    from embedlab.datasets.model_folder import DocumentedModel
    from embedlab.isotropic.export import ModelFacts, build_sentence_transformer, model_card
    from embedlab.isotropic.trainable_encoder import load_base

    base = load_base(encoder.root)
    if model["base"] is not None:
        base.load_state_dict(model["base"])
    projection = _projection(model)
    sources = pairs["source"].value_counts().to_dict()
    facts: ModelFacts = {
        "name": "isotropic",
        "base_model": getattr(encoder.root, "model", ""),
        "dimension": projection.output_dim,
        "max_length": base.max_seq_length or 0,
        "data": [{"source": name, "training pairs": count} for name, count in sources.items()],
        "parameters": model["parameters"],
        "metrics": [
            {"weights": name, f"{MEASURE} on the validation queries": summary[name]}
            for name in ("start", "best")
        ],
    }
    return DocumentedModel(build_sentence_transformer(base, projection), model_card(facts))


def project_embeddings(model: Model, embeddings: Embeddings) -> NewEmbeddings:
    """Project the base's vectors (n, d) to (n, output_dim)."""
    vectors = projected(_projection(model), embeddings.vectors)
    kept = {name: embeddings.metadata[name] for name in ("role", "id_scheme")}
    return NewEmbeddings(vectors, embeddings.ids, {"model": ISOTROPIC} | kept)


def encode_queries(model: Any, queries: pd.DataFrame) -> NewEmbeddings:
    """Encode the queries of a retrieval set by the exported model."""
    return _encode(model.encode_query, query_texts(queries))


def encode_corpus(model: Any, corpus: pa.Table) -> NewEmbeddings:
    """Encode the documents of a retrieval set by the exported model."""
    return _encode(model.encode_document, corpus_texts(corpus))


def _encode(encode: Callable[..., Any], texts: TextCollection) -> NewEmbeddings:
    vectors = np.asarray(encode(list(texts.parts[0]), show_progress_bar=True), dtype=np.float32)
    metadata = {"model": ISOTROPIC, "role": texts.role, "id_scheme": texts.id_scheme}
    stream = VectorStream(vectors.shape, partial(blocks_of, vectors))
    return NewEmbeddings(stream, texts.ids, metadata)


def _stage_of(queries: Embeddings) -> Stage:
    """The stage of the collection `{stage}_queries`."""
    return "pretraining" if queries.collection.startswith("pretraining") else "retrieval"


def _train(
    stage: Stage,
    data: IsotropicData,
    base: BaseFingerprints,
    parameters: IsotropicRetrievalParameters,
    checkpoints: CheckpointFolder,
) -> tuple[Model, pd.DataFrame, dict[str, Any]]:
    """Train a stage, and summarise its history."""
    training = parameters.trainings()[stage]
    config = training.model_dump(mode="json")
    checkpoint = checkpoints.checkpoint(stage, config)
    log = parameters.step_log(checkpoint, config)
    train = partial(train_isotropic, data, training, checkpoint, log, stage)
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
    model |= {"parameters": config, "encoder": base}
    return model, pd.DataFrame(log.rows()), summary


def _start(parameters: IsotropicRetrievalParameters, base: BaseFingerprints) -> Model | None:
    """The model whose weights initialise the first training."""
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
    if start.get("encoder") != base:
        raise InputError(
            f"load_checkpoint: {path}: was trained on another encoder; give a model of this one"
        )
    return start


def _projection(model: Model) -> GaussianProjection:
    shape = ProjectionParameters.model_validate(model["parameters"]["projection"])
    return load_projection(model, shape)
