"""Parameters of the density pipeline."""

from pydantic import Field

from embedlab.density.reward_model import RewardModelParameters
from embedlab.density.weights import Estimator
from embedlab.parameters import Parameters, Seed
from embedlab.search.neighbours import Metric


class SampleParameters(Parameters):
    """A sample of prefixes, drawn in proportion to their weights.

    Attributes:
        num_samples: number of prefixes.
        replacement: whether a prefix may be drawn more than once.
        seed: seed of the draws.
    """

    num_samples: int = Field(1000, ge=1)
    replacement: bool = True
    seed: Seed = 0


class DensityParameters(Parameters):
    """Density weights of prefixes, the sample drawn by them, and the reward models.

    Attributes:
        encoder: encoder of the prefixes and responses; null for the first of
            `embedding_cache.encoders`.
        k: number of neighbours of each prefix.
        metric: distance between vectors.
        estimator: distance r that determines the weight of a prefix: the mean over its neighbours,
            or the k-th.
        exponent: the weight is r to this power. 1 gives little contrast, the intrinsic dimension of
            the vectors much.
        exact_up_to: number of prefixes above which neighbours are searched in an approximate index.
        target_recall: share of the true neighbours that this index must find.
        sample: the sample for policy training.
        reward_model: the reward models.
        num_resamples: number of bootstrap samples of each interval, and of sign flips of each test.
        seed: seed of the index, the bootstrap samples and the sign flips.
    """

    encoder: str | None = None
    k: int = Field(20, ge=1)
    metric: Metric = "euclidean"
    estimator: Estimator = "mean_distance"
    exponent: float = Field(1.0, gt=0)
    exact_up_to: int = Field(100_000, ge=0)
    target_recall: float = Field(0.95, gt=0, le=1)
    sample: SampleParameters = SampleParameters()
    reward_model: RewardModelParameters = RewardModelParameters()
    num_resamples: int = Field(1000, ge=1)
    seed: Seed = 0
