"""Splits that keep groups whole."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from embedlab.errors import InputError

SPLITS = ("train", "validation", "test")


def split_by_group(groups: pd.Series, shares: Sequence[float], seed: int) -> np.ndarray:
    """Assign every item to train, validation or test, all items of one group to the same.

    Args:
        groups: the group of each of n items.
        shares: parts of the groups in each split, adding up to 1; each gets one group at least.
        seed: of the assignment.

    Returns:
        The split of each item, `(n,)`.

    Raises:
        InputError: if there are fewer groups than splits.
    """
    codes, distinct = pd.factorize(groups)
    n_groups = len(distinct)
    if n_groups < len(SPLITS):
        raise InputError(
            f"{groups.name}: {len(groups)} pairs with {n_groups} distinct value(s); a split by "
            f"{groups.name} into {', '.join(SPLITS)} needs {len(SPLITS)} or more"
        )
    validation, test = (max(1, round(share * n_groups)) for share in shares[1:])
    train = max(1, n_groups - validation - test)
    validation = min(validation, n_groups - train - 1)
    order = np.random.default_rng(seed).permutation(n_groups)
    of_group = np.empty(n_groups, dtype=object)
    bounds = np.cumsum([train, validation])
    for name, part in zip(SPLITS, np.split(order, bounds), strict=True):
        of_group[part] = name
    return of_group[codes]
