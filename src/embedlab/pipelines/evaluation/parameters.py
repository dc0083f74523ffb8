"""Parameters of the evaluation pipeline."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from embedlab.metrics.bm25 import Bm25Parameters
from embedlab.metrics.retrieval import metric_names
from embedlab.metrics.search import Similarity
from embedlab.parameters import Parameters, Seed

Rank = Annotated[int, Field(ge=1)]


class EvaluationParameters(Parameters):
    """How retrieval is run, scored and reported.

    Attributes:
        top_k: documents retrieved for each query.
        cutoffs: the ranks at which metrics are taken.
        reported: metrics in the log's table; the first one is plotted.
        drop_identical_ids: leave out the document that has its query's id, as beir does.
        similarity: how vectors are compared, by encoder; cosine for one that is not named.
        bm25: the lexical baseline.
        n_resamples: bootstrap samples behind each interval.
        seed: of these samples.
        trec_runs: write a TREC run file for each model and set.
    """

    top_k: int = Field(100, ge=1)
    cutoffs: tuple[Rank, ...] = (1, 3, 5, 10, 100)
    reported: tuple[str, ...] = ("nDCG@10", "MAP@100", "Recall@100", "P@10", "MRR@10")
    drop_identical_ids: bool = True
    similarity: dict[str, Similarity] = Field(default_factory=dict)
    bm25: Bm25Parameters = Bm25Parameters()
    n_resamples: int = Field(1000, ge=1)
    seed: Seed = 0
    trec_runs: bool = False

    @model_validator(mode="after")
    def _metrics_can_be_computed(self) -> Self:
        if not self.cutoffs or max(self.cutoffs) > self.top_k:
            raise ValueError(f"cutoffs must be one rank or more, none beyond top_k {self.top_k}")
        if not self.reported or set(self.reported) - set(metric_names(self.cutoffs)):
            raise ValueError(f"reported must be of {', '.join(metric_names(self.cutoffs))}")
        return self
