"""Parameters of the evaluation pipeline."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from embedlab.parameters import Parameters, Seed
from embedlab.retrieval.models import ISOTROPIC
from embedlab.retrieval.scores import metric_names
from embedlab.search.bm25 import Bm25Parameters
from embedlab.search.exact import Similarity

Rank = Annotated[int, Field(ge=1)]


class EvaluationParameters(Parameters):
    """How retrieval is run, scored and reported.

    Attributes:
        models: bm25 and names of models with vectors; null for all that there are.
        baseline: the model that the others are compared with; null for the projection's base.
        top_k: documents retrieved for each query.
        cutoffs: the ranks at which metrics are taken.
        reported: metrics in tables and tests; the first one is plotted.
        drop_identical_ids: leave out the document that has its query's id, as beir does.
        similarity: how vectors are compared, by model; for one that is not named cosine, and
            the Euclidean distance for the isotropic projection.
        bm25: the lexical baseline.
        n_resamples: bootstrap samples behind each interval.
        n_permutations: sign patterns in each paired randomisation test.
        n_examples: queries shown that a model wins, and that it loses, on each set.
        n_vectors: vectors in the sample behind measures of isotropy, at most.
        n_pairs: pairs of query and document behind distributions of distances, at most.
        seed: of all samples.
        trec_runs: write a TREC run file for each model and set.
    """

    models: tuple[str, ...] | None = Field(None, min_length=1)
    baseline: str | None = None
    top_k: int = Field(100, ge=1)
    cutoffs: tuple[Rank, ...] = (1, 3, 5, 10, 100)
    reported: tuple[str, ...] = ("nDCG@10", "MAP@100", "Recall@100", "P@10", "MRR@10")
    drop_identical_ids: bool = True
    similarity: dict[str, Similarity] = Field(default_factory=dict)
    bm25: Bm25Parameters = Bm25Parameters()
    n_resamples: int = Field(1000, ge=1)
    n_permutations: int = Field(10_000, ge=1)
    n_examples: int = Field(5, ge=0)
    n_vectors: int = Field(10_000, ge=2)
    n_pairs: int = Field(10_000, ge=1)
    seed: Seed = 0
    trec_runs: bool = False

    @model_validator(mode="after")
    def _metrics_can_be_computed(self) -> Self:
        if not self.cutoffs or max(self.cutoffs) > self.top_k:
            raise ValueError(f"cutoffs must be one rank or more, none beyond top_k {self.top_k}")
        if not self.reported or set(self.reported) - set(metric_names(self.cutoffs)):
            raise ValueError(f"reported must be of {', '.join(metric_names(self.cutoffs))}")
        return self

    @model_validator(mode="after")
    def _models_fit(self) -> Self:
        models = self.models or ()
        if len(set(models)) < len(models):
            raise ValueError(f"models: one is named twice: {', '.join(models)}")
        if models and self.baseline is not None and self.baseline not in models:
            raise ValueError(f"baseline {self.baseline} is not in models ({', '.join(models)})")
        return self

    def similarity_of(self, model: str) -> Similarity:
        """How the vectors of a model are compared."""
        return self.similarity.get(model, "euclidean" if model == ISOTROPIC else "cosine")
