"""Samples of items by weight."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import WeightedRandomSampler

from embedlab.density.weights import density_mapping, sampling_probabilities
from embedlab.errors import InputError


def density_sampler(
    weights: np.ndarray, n_samples: int, replacement: bool, seed: int
) -> WeightedRandomSampler:
    """A sampler of positions, each drawn with a probability proportional to its weight.

    Its first pass depends on the seed alone; later passes draw anew.

    Args:
        weights: `(n,)`.
        n_samples: positions drawn in a pass.
        replacement: whether a position may be drawn again in the same pass; without, each draw is
            among those that are left (Efraimidis & Spirakis 2006).
        seed: of the draws.

    Raises:
        InputError: if more are asked for than have a positive weight, without replacement.
    """
    n_positive = int(np.count_nonzero(weights))
    if n_samples < 1:
        raise InputError(f"n_samples must be at least 1 (got {n_samples})")
    if n_samples > n_positive and not replacement:
        raise InputError(
            f"n_samples is {n_samples}, but only {n_positive} items can be drawn without "
            "replacement: lower n_samples, or set replacement to true"
        )
    generator = torch.Generator().manual_seed(seed)
    probabilities = sampling_probabilities(weights).tolist()
    return WeightedRandomSampler(probabilities, n_samples, replacement, generator)


def sample_ids(
    ids: Sequence[str], weights: np.ndarray, n_samples: int, replacement: bool, seed: int
) -> list[str]:
    """Ids drawn as `density_sampler` draws positions, in the order of the draws.

    Raises:
        InputError: if ids and weights do not fit, or more are asked for than there are.
    """
    names = list(density_mapping(ids, weights))
    return [names[position] for position in density_sampler(weights, n_samples, replacement, seed)]
