"""Sampling in proportion to density weights."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import WeightedRandomSampler

from embedlab.density.weights import check_density
from embedlab.errors import InputError
from embedlab.text_table import as_ids, take_ids

# torch.multinomial draws from no more categories.
MAX_MULTINOMIAL = 2**24


def density_sampler(
    weights: np.ndarray, num_samples: int, replacement: bool, seed: int
) -> WeightedRandomSampler:
    """Make a sampler of positions with probabilities proportional to the weights.

    The first pass over the sampler depends on the seed only; each further pass draws `num_samples`
    positions anew. Without replacement, each draw of a pass is from the remaining positions
    (Efraimidis & Spirakis 2006). The weights `(n,)` are at least 0.

    Raises:
        InputError: if `num_samples` is less than 1 or, without replacement, greater than the number
            of positive weights.

    Example:
        >>> list(density_sampler(np.array([0.0, 1.0]), num_samples=3, replacement=True, seed=0))
        [1, 1, 1]
    """
    num_positive = int(np.count_nonzero(weights))
    if num_samples < 1:
        raise InputError(f"num_samples must be at least 1 (got {num_samples})")
    if num_samples > num_positive and not replacement:
        raise InputError(
            f"num_samples is {num_samples}, but only {num_positive} items can be drawn without "
            "replacement: lower num_samples, or set replacement to true"
        )
    generator = torch.Generator().manual_seed(seed)
    exact = weights.astype(np.float64)
    probabilities = torch.from_numpy(exact / exact.sum())
    kind = WeightedRandomSampler if len(weights) <= MAX_MULTINOMIAL else _LargeSampler
    # A tensor will do for the sequence: a list of millions takes seconds and gigabytes.
    return kind(probabilities, num_samples, replacement, generator)  # type: ignore[arg-type]


class _LargeSampler(WeightedRandomSampler):
    """Draws as its base does, by other random numbers and from any number of weights."""

    def __iter__(self) -> Iterator[int]:
        if self.replacement:
            ends = self.weights.cumsum(0)
            points = torch.rand(self.num_samples, dtype=torch.double, generator=self.generator)
            drawn = torch.searchsorted(ends, points * ends[-1], right=True)
        else:  # the first of independent exponential waiting times, whose rates are the weights
            times = torch.empty_like(self.weights).exponential_(generator=self.generator)
            drawn = (times / self.weights).topk(self.num_samples, largest=False).indices
        yield from drawn.tolist()


def sample_ids(
    ids: Sequence[str], weights: np.ndarray, num_samples: int, replacement: bool, seed: int
) -> list[str]:
    """Draw ids as `density_sampler` draws positions; the ids are in the order of the draws.

    Raises:
        InputError: as `check_density` and `density_sampler`.
    """
    column = as_ids(ids)
    check_density(column, weights)
    positions = list(density_sampler(weights, num_samples, replacement, seed))
    drawn: list[str] = take_ids(column, np.array(positions)).tolist()
    return drawn
