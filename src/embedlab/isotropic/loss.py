"""The objective of isotropic retrieval: a weighted sum of losses."""

import math
from typing import Literal, NamedTuple, Self, assert_never

import torch
from pydantic import Field, model_validator
from torch import Tensor

from embedlab.losses.covariance_isotropy import covariance_isotropy
from embedlab.losses.hardest_in_batch import hardest_in_batch_loss
from embedlab.losses.info_nce import info_nce_loss
from embedlab.losses.predictive import predictive_loss
from embedlab.losses.sigreg import random_directions, sigreg
from embedlab.losses.triplet import triplet_loss
from embedlab.losses.variance_regularisation import variance_regularisation
from embedlab.parameters import Parameters


class ObjectiveParameters(Parameters):
    """The losses and their weights; a loss of weight 0 is not computed.

    Attributes:
        contrastive: InfoNCE over the batch, or a margin loss with the nearest negative of the
            batch (`hardest`) or those of the pair (`triplet`).
        isotropy: SIGReg, or the distance of the covariance from an isotropic Gaussian's.
        lambda_contrastive: weight of the contrastive loss.
        lambda_isotropy: weight of the isotropy loss.
        lambda_reg: weight of the variance regularisation.
        lambda_predictive: weight of the predictive loss.
        temperature: of InfoNCE, a squared distance.
        margin: of `triplet` and `hardest`, a distance.
        target_std: target of isotropy loss and variance regularisation for the standard deviation
            of each dimension; null for 1 / sqrt(d), with which the mean squared norm is 1.
        num_slices: directions of SIGReg, drawn in every step.
    """

    contrastive: Literal["info_nce", "hardest", "triplet"] = "info_nce"
    isotropy: Literal["sigreg", "covariance"] = "sigreg"
    lambda_contrastive: float = Field(1.0, ge=0)
    lambda_isotropy: float = Field(1.0, ge=0)
    lambda_reg: float = Field(0.1, ge=0)
    lambda_predictive: float = Field(0.0, ge=0)
    temperature: float = Field(0.05, gt=0)
    margin: float = Field(0.2, ge=0)
    target_std: float | None = Field(None, gt=0)
    num_slices: int = Field(256, ge=1)

    @model_validator(mode="after")
    def _some_loss_has_weight(self) -> Self:
        names = ("contrastive", "isotropy", "reg", "predictive")
        if not any(getattr(self, f"lambda_{name}") for name in names):
            raise ValueError("every lambda is 0; for the untrained projection, set max_epochs: 0")
        return self


class Batch(NamedTuple):
    """The vectors of a batch of b pairs with h negatives each.

    Attributes:
        queries: of this process, `(b, d)`.
        documents: of this process, `(b + b h, d)`: the positives, then the negatives.
        candidates: the documents of all processes, `(m, d)`.
        targets: index of each query's positive among the candidates, `(b,)`.
        forbidden: which candidates are not negatives of a query, bool `(b, m)`.
    """

    queries: Tensor
    documents: Tensor
    candidates: Tensor
    targets: Tensor
    forbidden: Tensor


def isotropic_retrieval_losses(
    batch: Batch, parameters: ObjectiveParameters, seed: int
) -> dict[str, Tensor]:
    """Compute each loss whose weight is not 0, and `loss`, their weighted sum.

    The seed draws SIGReg's directions, and must be the same in all processes.

    Example:
        >>> queries = torch.randn(8, 16)
        >>> documents = queries + 0.1 * torch.randn(8, 16)
        >>> forbidden = torch.zeros(8, 8, dtype=torch.bool)
        >>> batch = Batch(queries, documents, documents, torch.arange(8), forbidden)
        >>> sorted(isotropic_retrieval_losses(batch, ObjectiveParameters(), seed=0))
        ['contrastive', 'isotropy', 'loss', 'reg']
    """
    vectors = torch.cat([batch.queries, batch.documents])
    target_std = parameters.target_std or 1 / math.sqrt(vectors.shape[1])
    losses: dict[str, Tensor] = {}
    if parameters.lambda_contrastive:
        losses["contrastive"] = _contrastive(batch, parameters)
    if parameters.lambda_isotropy and parameters.isotropy == "sigreg":
        directions = random_directions(vectors.shape[1], parameters.num_slices, seed)
        losses["isotropy"] = sigreg(vectors / target_std, directions)
    elif parameters.lambda_isotropy and parameters.isotropy == "covariance":
        losses["isotropy"] = covariance_isotropy(vectors, target_std)
    if parameters.lambda_reg:
        losses["reg"] = variance_regularisation(vectors, target_std)
    if parameters.lambda_predictive:
        positives = batch.documents[: len(batch.queries)]
        losses["predictive"] = predictive_loss(batch.queries, positives)
    weighted = [getattr(parameters, f"lambda_{name}") * loss for name, loss in losses.items()]
    return losses | {"loss": torch.stack(weighted).sum()}


def _contrastive(batch: Batch, parameters: ObjectiveParameters) -> Tensor:
    queries, documents, candidates, targets, forbidden = batch
    if parameters.contrastive == "info_nce":
        return info_nce_loss(queries, candidates, targets, forbidden, parameters.temperature)
    if parameters.contrastive == "hardest":
        return hardest_in_batch_loss(queries, candidates, targets, forbidden, parameters.margin)
    if parameters.contrastive != "triplet":
        assert_never(parameters.contrastive)
    positives, negatives = documents[: len(queries)], documents[len(queries) :]
    # This process's documents are consecutive candidates; the first is the first query's positive.
    columns = targets[0] + torch.arange(len(queries), len(documents), device=queries.device)
    return triplet_loss(
        queries,
        positives,
        negatives.view(len(queries), -1, negatives.shape[1]),
        parameters.margin,
        forbidden.gather(1, columns.view(len(queries), -1)),
    )
