"""Pairs parted by their query, so that no validation query is trained on."""

import numpy as np
import pandas as pd


def hold_out_queries(
    pairs: pd.DataFrame, fraction: float, random: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part the pairs (column query) into training and validation, their order kept.

    Args:
        pairs: one row a pair.
        fraction: share of the distinct queries held out: one at least unless it is 0, and never
            the last.
        random: draws the queries.
    """
    codes, queries = pd.factorize(pairs["query"])
    wanted = max(1, round(fraction * len(queries))) if fraction else 0
    size = min(wanted, len(queries) - 1)
    held_out = np.isin(codes, random.permutation(len(queries))[:size])
    return pairs[~held_out], pairs[held_out]
