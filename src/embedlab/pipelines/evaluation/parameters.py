"""Parameters of the evaluation pipeline."""

from typing import Annotated, Self, cast, get_args

from pydantic import Field, model_validator

from embedlab.encoders.embeddings import Embeddings
from embedlab.errors import InputError
from embedlab.parameters import Parameters, Seed
from embedlab.retrieval.identical import DropIdentical
from embedlab.retrieval.models import ISOTROPIC
from embedlab.retrieval.scores import metric_names
from embedlab.search.bm25 import Bm25Parameters
from embedlab.search.exact import Similarity

Rank = Annotated[int, Field(ge=1)]


class EvaluationParameters(Parameters):
    """Search, scoring and reports.

    Attributes:
        models: bm25, encoders of embedding_cache, isotropic; null for all available ones.
        baseline: the model that the others are compared with; null for the projection's base.
        top_k: number of documents retrieved for each query.
        cutoffs: the ranks at which metrics are computed.
        reported: metrics in tables and tests; the first one is plotted.
        drop_identical: leave out of a query's results the document of the same id if the texts are
            the same too (`texts`), in any case as beir does (`ids`), or never (`none`).
        similarity: how a model's vectors are compared; the default is euclidean for the isotropic
            projection and for any other what the model says, else cosine.
        approximate_above: number of documents above which vectors are searched in an approximate
            index, whose recall `{model}.{set}.search` has; null for exact search in any case.
        target_recall: share of the `top_k` of exact search that the index must find.
        bm25: parameters of the lexical baseline.
        num_resamples: number of bootstrap samples for each interval.
        max_permutations: upper bound on the sign patterns in each paired randomisation test.
        max_examples: upper bound on the queries shown per set that a model wins, and loses.
        max_vectors: upper bound on the vectors sampled for the measures of isotropy.
        max_pairs: upper bound on the pairs sampled for each distribution of distances.
        seed: seed of all samples.
        trec_runs: whether to write a TREC run file for each model and set.
    """

    models: tuple[str, ...] | None = Field(None, min_length=1)
    baseline: str | None = None
    top_k: int = Field(100, ge=1)
    cutoffs: tuple[Rank, ...] = (1, 3, 5, 10, 100)
    reported: tuple[str, ...] = ("nDCG@10", "MAP@100", "Recall@100", "P@10", "MRR@10")
    drop_identical: DropIdentical = "texts"
    similarity: dict[str, Similarity] = Field(default_factory=dict)
    approximate_above: int | None = Field(None, ge=1)
    target_recall: float = Field(0.95, gt=0, le=1)
    bm25: Bm25Parameters = Bm25Parameters()
    num_resamples: int = Field(1000, ge=1)
    max_permutations: int = Field(10_000, ge=1)
    max_examples: int = Field(5, ge=0)
    max_vectors: int = Field(10_000, ge=2)
    max_pairs: int = Field(10_000, ge=1)
    seed: Seed = 0
    trec_runs: bool = False

    @model_validator(mode="after")
    def _metrics_can_be_computed(self) -> Self:
        if not self.cutoffs or max(self.cutoffs) > self.top_k:
            raise ValueError(f"cutoffs must be at least one rank, none above top_k {self.top_k}")
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

    def similarity_of(self, embeddings: Embeddings) -> Similarity:
        """Look up how the vectors of a model are compared.

        Raises:
            InputError: if the model says so in a way that evaluation does not know.
        """
        model = embeddings.encoder
        if model in self.similarity:
            return self.similarity[model]
        if model == ISOTROPIC:
            return "euclidean"
        own = embeddings.metadata.get("similarity") or "cosine"
        if own not in get_args(Similarity):
            raise InputError(
                f"encoder {model}: its model compares vectors by {own}, which evaluation cannot; "
                f"set evaluation.similarity.{model} to one of {', '.join(get_args(Similarity))}"
            )
        return cast(Similarity, own)
