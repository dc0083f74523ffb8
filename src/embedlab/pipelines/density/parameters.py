"""Parameters of the density pipeline."""

from pydantic import Field

from embedlab.density.reward_model import RewardModelParameters
from embedlab.density.weights import Estimator
from embedlab.parameters import Parameters, Seed
from embedlab.search.neighbours import Metric


class SampleParameters(Parameters):
    """Which prefixes to draw, the rare ones more often.

    Attributes:
        n_samples: how many.
        replacement: whether a prefix may be drawn again.
        seed: of the draw.
    """

    n_samples: int = Field(1000, ge=1)
    replacement: bool = True
    seed: Seed = 0


class DensityParameters(Parameters):
    """How prefixes are weighed, and what is done with the weights.

    Attributes:
        encoder: whose vectors of prefixes and responses are used; if null, those of the first one
            of `embedding_cache.encoders`.
        k: neighbours of each prefix.
        metric: the distance between vectors.
        estimator: how rare a prefix is, by the distances to its neighbours.
        exponent: power of that; 1 is gentle, the intrinsic dimension of the vectors steep.
        exact_up_to: prefixes beyond which neighbours are found by an approximate index.
        target_recall: share of the true neighbours that this index must find.
        sample: the sample for policy training.
        reward_model: the reward models.
        n_resamples: bootstrap samples behind each interval, and sign flips of each test.
        seed: of the index and of these samples.
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
    n_resamples: int = Field(1000, ge=1)
    seed: Seed = 0
