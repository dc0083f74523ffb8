"""The objective of isotropic retrieval: a weighted sum of its losses."""

import math
from typing import Literal, NamedTuple, Self

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
    """Which losses, and their weights; one of weight 0 is not computed.

    Attributes:
        contrastive: InfoNCE, the hardest negative of the batch, or the pair's own negatives.
        isotropy: SIGReg, or the distance of the covariance from that of an isotropic Gaussian.
        lambda_contrastive: weight of the contrastive loss.
        lambda_isotropy: weight of the isotropy loss.
        lambda_reg: weight of the variance regularisation.
        lambda_predictive: weight of the predictive loss.
        temperature: of InfoNCE.
        margin: of triplet and hardest, in the same unit as distances.
        target_std: standard deviation of each dimension that isotropy and variance aim at; null
            for 1 / sqrt(d), which gives vectors of norm 1 on average, as the base has.
        n_slices: directions of SIGReg, drawn anew in every step.
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
    n_slices: int = Field(256, ge=1)

    @model_validator(mode="after")
    def _something_is_minimised(self) -> Self:
        losses = ("contrastive", "isotropy", "reg", "predictive")
        if not any(getattr(self, f"lambda_{name}") for name in losses):
            raise ValueError("every lambda is 0, so that nothing is trained; max_epochs: 0 does so")
        return self


class Batch(NamedTuple):
    """The vectors of a batch of pairs.

    Attributes:
        queries: `(b, d)`.
        documents: those of this process, `(b + b h, d)`: the positives, then the negatives.
        candidates: those of all processes, `(m, d)`.
        targets: position of each query's positive in `candidates`, `(b,)`.
        forbidden: candidates that are no negative of a query, `(b, m)`.
    """

    queries: Tensor
    documents: Tensor
    candidates: Tensor
    targets: Tensor
    forbidden: Tensor


def isotropic_retrieval_losses(
    batch: Batch, parameters: ObjectiveParameters, seed: int
) -> dict[str, Tensor]:
    """Each loss whose weight is not 0, and `loss`, their weighted sum.

    Args:
        batch: the vectors.
        parameters: weights and kinds.
        seed: of SIGReg's directions, the same in all processes.
    """
    vectors = torch.cat([batch.queries, batch.documents])
    target_std = parameters.target_std or 1 / math.sqrt(vectors.shape[1])
    losses: dict[str, Tensor] = {}
    if parameters.lambda_contrastive:
        losses["contrastive"] = _contrastive(batch, parameters)
    if parameters.lambda_isotropy and parameters.isotropy == "sigreg":
        directions = random_directions(vectors.shape[1], parameters.n_slices, seed)
        losses["isotropy"] = sigreg(vectors / target_std, directions.to(vectors.device))
    elif parameters.lambda_isotropy:
        losses["isotropy"] = covariance_isotropy(vectors, target_std)
    if parameters.lambda_reg:
        losses["reg"] = variance_regularisation(vectors, target_std)
    if parameters.lambda_predictive:
        positives = batch.documents[: len(batch.queries)]
        losses["predictive"] = predictive_loss(batch.queries, positives)
    weighted = [getattr(parameters, f"lambda_{name}") * loss for name, loss in losses.items()]
    return losses | {"loss": torch.stack(weighted).sum()}


def _contrastive(batch: Batch, parameters: ObjectiveParameters) -> Tensor:
    queries, candidates, targets, forbidden = batch[0], *batch[2:]
    if parameters.contrastive == "info_nce":
        return info_nce_loss(queries, candidates, targets, forbidden, parameters.temperature)
    if parameters.contrastive == "hardest":
        return hardest_in_batch_loss(queries, candidates, targets, forbidden, parameters.margin)
    positives, negatives = batch.documents.tensor_split([len(queries)])
    negatives = negatives.unflatten(0, (len(queries), -1))
    # A pair's negatives stand among the candidates in their order, all after the positives.
    places = torch.arange(len(queries), len(batch.documents), device=queries.device)
    own = forbidden.gather(1, targets[0] + places.view(len(queries), -1))
    return triplet_loss(queries, positives, negatives, parameters.margin, own)
