"""Training of a Gaussian projection over a frozen or an unfrozen base encoder."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from embedlab.encoders.parameters import AnyEncoder
from embedlab.errors import InputError
from embedlab.losses.isotropic_retrieval import (
    Batch,
    ObjectiveParameters,
    isotropic_retrieval_losses,
)
from embedlab.metrics.retrieval import score_run
from embedlab.metrics.search import exact_search
from embedlab.models.gaussian_projection import GaussianProjection, ProjectionParameters
from embedlab.models.trainable_encoder import TrainableEncoder, load_base
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.collectives import gather_rows, rank
from embedlab.training.distributed import training_device
from embedlab.training.isotropic_parameters import IsotropicTrainingParameters
from embedlab.training.loop import History, Losses, Task, train
from embedlab.training.retrieval_inputs import CachedInputs, OnlineInputs, RetrievalInputs
from embedlab.training.retrieval_rows import relevant_rows
from embedlab.training.step_log import StepLog

MEASURE = "nDCG@10"
# Documents, at most, to which a projection's start is fitted.
SAMPLE_SIZE = 8192


@dataclass(frozen=True)
class IsotropicData:
    """What a training reads.

    Attributes:
        queries: base vectors `(n, d)` for a frozen base, else n texts.
        documents: base vectors `(m, d)`, or m texts.
        triples: rows of query, positive and negatives of each training pair, int64 `(p, 2 + h)`;
            -1 for a negative that is missing.
        validation: rows of query and positive of each validation pair, int64 `(v, 2)`.
        encoder: the base encoder, for an unfrozen base.
        start: a model as `train_isotropic` gives it, to go on from; None for a fresh one.
    """

    queries: np.ndarray | list[str]
    documents: np.ndarray | list[str]
    triples: np.ndarray
    validation: np.ndarray
    encoder: AnyEncoder | None = None
    start: dict[str, Any] | None = None


def train_isotropic(
    data: IsotropicData,
    parameters: IsotropicTrainingParameters,
    checkpoint: Checkpoint,
    log: StepLog | None = None,
    name: str = "projection",
) -> tuple[dict[str, Any], History]:
    """Train until nDCG@10 on the validation queries stops rising.

    The untrained model is validated too: a residual projection that nothing betters stays what it
    was at the start, which ranks as its base does.

    Returns:
        The best model, as `projection` and (if it was trained) `base` states with `input_dim`; and
        what each validation found.

    Raises:
        InputError: as `train` does.
    """
    device = training_device()
    with torch.random.fork_rng():
        torch.manual_seed(parameters.seed)
        model, inputs = _build(data, parameters, device)
    task = Task(
        name=name,
        model=model,
        losses=PairLosses(inputs, data, parameters.objective, device),
        n_items=len(data.triples),
        validate=Validation(model, inputs, data.validation, len(data.documents), parameters),
        measure=MEASURE,
        higher_is_better=True,
        scores_start=True,
    )
    if isinstance(model, TrainableEncoder):
        rates = (parameters.base_learning_rate, parameters.projection_learning_rate)
        groups = model.parameter_groups(*rates)
    else:
        groups = [{"params": list(model.parameters()), "lr": parameters.projection_learning_rate}]
    history = train(task, groups, parameters.training, parameters.seed, checkpoint, log)
    return _states(model), history


class PairLosses:
    """The losses of a batch of training pairs."""

    def __init__(
        self,
        inputs: RetrievalInputs,
        data: IsotropicData,
        objective: ObjectiveParameters,
        device: torch.device,
    ):
        self.inputs, self.objective, self.device = inputs, objective, device
        self.triples = data.triples
        if objective.contrastive == "triplet" and objective.lambda_contrastive:
            self.triples = _with_negatives(data.triples)
        pairs = np.concatenate([data.triples[:, :2], data.validation])
        self.relevant = torch.from_numpy(relevant_rows(pairs, len(data.queries))).to(device)

    def __call__(self, model: nn.Module, positions: Tensor, seed: int) -> Losses:
        """The losses of the pairs at these positions, whose negatives all processes share."""
        triples = self.triples[positions.numpy()]
        # For a missing negative the positive is read again, which isotropy can be measured on.
        filled = np.where(triples < 0, triples[:, 1:2], triples)
        documents, read = (
            np.concatenate([rows[:, 1], rows[:, 2:].ravel()]) for rows in (triples, filled)
        )
        queries = triples[:, 0]
        vectors = model(*self.inputs.batch(queries, read))
        query_vectors, document_vectors = vectors.float().split([len(queries), len(documents)])
        candidates = gather_rows(torch.from_numpy(documents).to(self.device))
        targets = rank() * len(documents) + torch.arange(len(queries), device=self.device)
        batch = Batch(
            query_vectors,
            document_vectors,
            gather_rows(document_vectors),
            targets,
            self._forbidden(torch.from_numpy(queries).to(self.device), candidates),
        )
        # Sums over a batch need float32, whatever precision the model computes in.
        with torch.autocast(self.device.type, enabled=False):
            return isotropic_retrieval_losses(batch, self.objective, seed)

    def _forbidden(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Candidates `(m,)` that are relevant to each query `(b,)`, or missing: bool `(b, m)`."""
        forbidden = (candidates < 0).expand(len(queries), -1).clone()
        for relevant in self.relevant[queries].T:  # few columns
            forbidden |= relevant[:, None] == candidates
        return forbidden


def _with_negatives(triples: np.ndarray) -> np.ndarray:
    """Triples whose missing negatives are the pair's first one.

    Raises:
        InputError: if a pair has none.
    """
    if triples.shape[1] < 3 or (triples[:, 2] < 0).any():
        raise InputError(
            "contrastive: triplet needs a negative of every pair; raise hard_negatives.count"
        )
    return np.where(triples < 0, triples[:, 2:3], triples)


class Validation:
    """nDCG@10 of the validation queries on a pool of documents, by Euclidean distance."""

    def __init__(
        self,
        model: nn.Module,
        inputs: RetrievalInputs,
        pairs: np.ndarray,
        n_documents: int,
        parameters: IsotropicTrainingParameters,
    ):
        self.model, self.inputs = model, inputs
        limits, random = parameters.validation, np.random.default_rng(parameters.seed)
        self.queries = np.sort(random.permutation(np.unique(pairs[:, 0]))[: limits.max_queries])
        judged = pairs[np.isin(pairs[:, 0], self.queries)]
        relevant = np.unique(judged[:, 1])
        others = np.setdiff1d(random.permutation(n_documents), relevant)
        n_others = max(0, limits.max_documents - len(relevant))
        chosen = random.permutation(others)[:n_others]
        self.documents = np.sort(np.concatenate([relevant, chosen]))
        self.qrels = pd.DataFrame(judged.astype(str), columns=["query_id", "corpus_id"])
        self.qrels["score"] = 1

    def __call__(self) -> float:
        """The score of the model as it is now."""
        run = exact_search(
            self.inputs.encode(self.model, "query", self.queries),
            self.inputs.encode(self.model, "document", self.documents),
            self.queries.astype(str).tolist(),
            self.documents.astype(str).tolist(),
            10,
            "euclidean",
        )
        return float(score_run(run, self.qrels, [10])[MEASURE].mean())


def load_projection(model: dict[str, Any], shape: ProjectionParameters) -> GaussianProjection:
    """The projection of a model that `train_isotropic` gave, ready to use."""
    projection = GaussianProjection(model["input_dim"], shape)
    projection.load_state_dict(model["projection"])
    return projection.eval()


def _build(
    data: IsotropicData, parameters: IsotropicTrainingParameters, device: torch.device
) -> tuple[nn.Module, RetrievalInputs]:
    """The model at its start, and what it reads."""
    model: nn.Module
    inputs: RetrievalInputs
    if parameters.freeze_base:
        queries, documents = np.asarray(data.queries), np.asarray(data.documents)
        model = projection = GaussianProjection(documents.shape[1], parameters.projection)
        inputs = CachedInputs(queries, documents, device)
        sample = documents[_sample_rows(len(documents), SAMPLE_SIZE, parameters.seed)]
    else:
        assert data.encoder is not None
        base = load_base(data.encoder)
        dimension = base.get_embedding_dimension() or 0
        projection = GaussianProjection(dimension, parameters.projection)
        model = _trainable_encoder(base, projection, parameters)
        inputs = OnlineInputs(list(data.queries), list(data.documents), model)
        rows = _sample_rows(len(data.documents), 4 * dimension, parameters.seed)
        sample = base.to(device).encode_document([data.documents[row] for row in rows])
    projection.initialise(torch.from_numpy(np.asarray(sample)))
    if data.start is not None:
        _load_states(model, data.start)
    return model.to(device), inputs


def _trainable_encoder(
    base: SentenceTransformer,
    projection: GaussianProjection,
    parameters: IsotropicTrainingParameters,
) -> TrainableEncoder:
    model = TrainableEncoder(base, projection)
    if parameters.frozen_layers is not None:
        model.freeze_early_layers(parameters.frozen_layers)
    if parameters.gradient_checkpointing:
        model.enable_gradient_checkpointing()
    return model


def _sample_rows(n_rows: int, size: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).permutation(n_rows)[:size])


def _states(model: nn.Module) -> dict[str, Any]:
    """A trained model as plain tensors on the CPU."""
    parts = {"projection": model}
    if isinstance(model, TrainableEncoder):
        parts = {"projection": model.projection, "base": model.base}
    states = {
        name: {key: tensor.cpu() for key, tensor in part.state_dict().items()}
        for name, part in parts.items()
    }
    projection = parts["projection"]
    assert isinstance(projection, GaussianProjection)
    return {"base": None, **states, "input_dim": projection.input_dim}


def _load_states(model: nn.Module, start: dict[str, Any]) -> None:
    """Put another training's weights into a model.

    Raises:
        InputError: if they are of a model of another shape, or of a base that cannot be had.
    """
    trains_base = isinstance(model, TrainableEncoder)
    if start["base"] is not None and not trains_base:
        raise InputError(
            "load_checkpoint: its base was trained, too; go on with freeze_base: false"
        )
    try:
        if isinstance(model, TrainableEncoder):
            model.projection.load_state_dict(start["projection"])
            if start["base"] is not None:
                model.base.load_state_dict(start["base"])
        else:
            model.load_state_dict(start["projection"])
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"load_checkpoint: of another shape; give it the same projection ({reason:.120})"
        ) from error
