"""Splits that keep groups whole."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from embedlab.errors import InputError

SPLITS = ("train", "validation", "test")


def split_by_group(groups: pd.Series, shares: Sequence[float], seed: int) -> np.ndarray:
    """Assign n items to train, validation and test such that no group is in two splits.

    Args:
        groups: the group of each item, `(n,)`.
        shares: shares of the groups in each split, with sum 1; each split gets at least one group.
        seed: seed of the assignment.

    Returns:
        The name of each item's split, `(n,)`.

    Raises:
        InputError: if there are fewer groups than splits.

    Example:
        >>> split_by_group(pd.Series(list("aabbc")), (0.4, 0.3, 0.3), seed=0).tolist()
        ['validation', 'validation', 'test', 'test', 'train']
    """
    codes, distinct = pd.factorize(groups)
    num_groups = len(distinct)
    if num_groups < len(SPLITS):
        raise InputError(
            f"{groups.name}: {len(groups)} pairs with {num_groups} distinct value(s); a split by "
            f"{groups.name} into {', '.join(SPLITS)} needs {len(SPLITS)} or more"
        )
    validation, test = (max(1, round(share * num_groups)) for share in shares[1:])
    train = max(1, num_groups - validation - test)
    validation = min(validation, num_groups - train - 1)
    splits = np.empty(num_groups, dtype=object)
    splits[np.random.default_rng(seed).permutation(num_groups)] = np.repeat(
        SPLITS, [train, validation, num_groups - train - validation]
    )
    return splits[codes]
