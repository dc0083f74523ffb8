"""Random choices among the rows of a table."""

import numpy as np
import pandas as pd


def draw_rows(table: pd.DataFrame, size: int | None, rng: np.random.Generator) -> pd.DataFrame:
    """Draw `size` rows without replacement, or all if there are fewer, in their original order."""
    return table.iloc[np.sort(rng.permutation(len(table))[:size])].reset_index(drop=True)


def hold_out(
    table: pd.DataFrame, column: str, fraction: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split rows for training and validation so that the two share no value of a column.

    A fraction of the distinct values is held out: at least one value unless it is 0, never all.

    Returns:
        Training rows and held-out rows, each in their original order, numbered from 0.

    Example:
        >>> pairs = pd.DataFrame({"query": ["a", "a", "b"], "positive": ["x", "y", "z"]})
        >>> train, validation = hold_out(pairs, "query", 0.5, np.random.default_rng(0))
        >>> set(train["query"]) & set(validation["query"])
        set()
    """
    codes, values = pd.factorize(table[column])
    size = max(1, round(fraction * len(values))) if fraction else 0
    drawn = rng.permutation(len(values))[: min(size, len(values) - 1)]
    held_out = np.isin(codes, drawn)
    return table[~held_out].reset_index(drop=True), table[held_out].reset_index(drop=True)
