"""Training of a Gaussian projection on a frozen or trained base encoder."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from embedlab.distributed.processes import gather_rows, rank, training_device
from embedlab.errors import InputError
from embedlab.isotropic.inputs import RetrievalInputs
from embedlab.isotropic.loss import Batch, ObjectiveParameters, isotropic_retrieval_losses
from embedlab.isotropic.models import IsotropicData, build_model, model_states, parameter_groups
from embedlab.isotropic.parameters import IsotropicTrainingParameters
from embedlab.isotropic.projection import GaussianProjection, ProjectionParameters
from embedlab.isotropic.rows import relevant_rows
from embedlab.retrieval.scores import score_run
from embedlab.search.exact import exact_search
from embedlab.text_table import as_ids
from embedlab.training.checkpoints import Checkpoint
from embedlab.training.history import History
from embedlab.training.loop import train
from embedlab.training.step_log import StepLog
from embedlab.training.task import Losses, Task

MEASURE = "nDCG@10"


def train_isotropic(
    data: IsotropicData,
    parameters: IsotropicTrainingParameters,
    checkpoint: Checkpoint,
    log: StepLog | None = None,
    name: str = "projection",
) -> tuple[dict[str, Any], History]:
    """Train until nDCG@10 on the validation queries no longer improves.

    The initial model is validated, too. If no step improves a residual projection, the result is
    its initial isometry, which ranks documents as the base does.

    Returns:
        The best model, as states of `projection` and `base` (None for a frozen base) with
        `input_dim`; and the validations.

    Raises:
        InputError: as `train` does, and for pairs or initial weights that do not fit the model.
    """
    device = training_device()
    with torch.random.fork_rng():
        torch.manual_seed(parameters.seed)
        model, inputs = build_model(data, parameters, device)
    task = Task(
        name=name,
        model=model,
        losses=PairLosses(inputs, data, parameters.objective, device),
        num_items=len(data.triples),
        validate=Validation(model, inputs, data.validation, len(data.documents), parameters),
        measure=MEASURE,
        higher_is_better=True,
        scores_start=True,
    )
    groups = parameter_groups(model, parameters)
    history = train(task, groups, parameters.training, parameters.seed, checkpoint, log)
    return model_states(model), history


class PairLosses:
    """The losses of a batch of pairs; candidates are the documents of all processes."""

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

    def __call__(self, model: nn.Module, indices: Tensor, seed: int) -> Losses:
        """The losses of the pairs with these indices."""
        triples = self.triples[indices.numpy()]
        # Missing negatives (-1) are filled with the positive: masked out of the contrastive loss,
        # valid for the isotropy loss.
        filled = np.where(triples < 0, triples[:, 1:2], triples)
        documents, encoded = (
            np.concatenate([rows[:, 1], rows[:, 2:].ravel()]) for rows in (triples, filled)
        )
        queries = triples[:, 0]
        vectors = model(*self.inputs.batch(queries, encoded))
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
        # Sums over a batch need float32, whatever the precision of the forward pass.
        with torch.autocast(self.device.type, enabled=False):
            return isotropic_retrieval_losses(batch, self.objective, seed)

    def _forbidden(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Candidates `(m,)` that are missing or relevant to a query `(b,)`: bool `(b, m)`."""
        forbidden = (candidates < 0).expand(len(queries), -1).clone()
        for relevant in self.relevant[queries].T:  # few columns
            forbidden |= relevant[:, None] == candidates
        return forbidden


def _with_negatives(triples: np.ndarray) -> np.ndarray:
    """Triples with missing negatives replaced by the pair's first negative."""
    if triples.shape[1] < 3 or (triples[:, 2] < 0).any():
        raise InputError(
            "contrastive: triplet needs a negative for every pair; raise hard_negatives.count"
        )
    return np.where(triples < 0, triples[:, 2:3], triples)


class Validation:
    """nDCG@10 of validation queries, ranking by Euclidean distance.

    The documents are the relevant ones of these queries and random others.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: RetrievalInputs,
        pairs: np.ndarray,
        num_documents: int,
        parameters: IsotropicTrainingParameters,
    ):
        self.model, self.inputs = model, inputs
        limits, generator = parameters.validation, np.random.default_rng(parameters.seed)
        queries = generator.permutation(np.unique(pairs[:, 0]))[: limits.max_queries]
        pairs = pairs[np.isin(pairs[:, 0], queries)]
        relevant = np.unique(pairs[:, 1])
        others = np.setdiff1d(generator.permutation(num_documents), relevant)
        num_others = max(0, limits.max_documents - len(relevant))
        chosen = generator.permutation(others)[:num_others]
        self.queries, self.documents = np.sort(queries), np.sort(np.append(relevant, chosen))
        self.qrels = pd.DataFrame(pairs.astype(str), columns=["query_id", "corpus_id"])
        self.qrels["score"] = 1

    def __call__(self) -> float:
        """The score of the model with its present weights."""
        run = exact_search(
            self.inputs.encode(self.model, "query", self.queries),
            self.inputs.encode(self.model, "document", self.documents),
            as_ids(self.queries.astype(str)),
            as_ids(self.documents.astype(str)),
            10,
            "euclidean",
        )
        return float(score_run(run, self.qrels, [10])[MEASURE].mean())


def load_projection(model: dict[str, Any], shape: ProjectionParameters) -> GaussianProjection:
    """The projection of a model returned by `train_isotropic`, in evaluation mode."""
    projection = GaussianProjection(model["input_dim"], shape)
    projection.load_state_dict(model["projection"])
    return projection.eval()
