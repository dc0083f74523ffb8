"""Agreement of rewards with preferences.

The margin of a pair is the reward of its chosen response minus that of its rejected one. Pairs of
one prefix are not independent, so every interval and test resamples prefixes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from embedlab.statistics.description import describe_values
from embedlab.statistics.intervals import Interval, ratio_interval
from embedlab.statistics.paired_tests import paired_randomisation_test

RARE_QUINTILE = 5
# Responses compared at a time.
BLOCK_SIZE = 65536


def cosine_margins(embeddings: np.ndarray, chosen: np.ndarray, rejected: np.ndarray) -> np.ndarray:
    """Compute the margins `(p,)` of the untrained reward cos(prefix, response).

    Embeddings `(m, 2d)` are prefix and response vectors, concatenated; they may be a memory map.
    The rows of the chosen and of the rejected responses are `(p,)`. The cosine of a zero vector
    counts as 0.

    Example:
        >>> embeddings = np.array([[1, 0, 2, 0], [1, 0, 0, 3]])
        >>> cosine_margins(embeddings, np.array([0]), np.array([1])).tolist()
        [1.0]
    """
    blocks = range(0, len(embeddings), BLOCK_SIZE)
    cosines = np.concatenate([_cosines(embeddings[i : i + BLOCK_SIZE]) for i in blocks])
    margins: np.ndarray = cosines[chosen] - cosines[rejected]
    return margins


def summarise_margins(
    tested: pd.DataFrame, models: Sequence[str], num_resamples: int, seed: int
) -> dict[str, Any]:
    """Compute each model's accuracy on tested pairs: overall, weighted, by source, quintile, seed.

    The columns of `tested` are seed, pair, prefix_id, src, weight, quintile, and the margins of
    each model; it has one row for each pair and each seed whose test split has it.

    Returns:
        By model: accuracies with 95 % intervals, whose ends are None for a single prefix, and
        statistics of the margins; ready for JSON.
    """
    return {model: _summarise(tested, model, num_resamples, seed) for model in models}


def compare_reward_models(
    tested: pd.DataFrame, model: str, base: str, num_resamples: int, seed: int
) -> dict[str, Any] | None:
    """Test whether `model` is more accurate than `base` on the pairs of `summarise_margins`.

    Returns:
        The difference of the accuracies with its interval, the p-value of a paired randomisation
        test over prefixes, and the numbers of prefixes and pairs; None if there are no pairs.
    """
    if tested.empty:
        return None
    difference = correctness(tested[model]) - correctness(tested[base])
    sums, counts = _cluster_sums(tested, difference, np.ones(len(tested)))
    return {
        **ratio_interval(sums, counts, num_resamples, seed)._asdict(),
        "p_value": paired_randomisation_test(sums, num_resamples, seed),
        "n_prefixes": len(sums),
        "n_pairs": _num_pairs(tested),
    }


def format_accuracies(summaries: Mapping[str, Any]) -> str:
    """Format the output of `summarise_margins` as a table: a row a model, accuracies in points."""
    rows = {}
    for model, summary in summaries.items():
        cells = {
            "accuracy": summary["accuracy"],
            "weighted": summary["weighted_accuracy"],
            "rare quintile": summary["by_quintile"].get(str(RARE_QUINTILE)),
        }
        rows[model] = {name: Interval.of(c).in_points() if c else "-" for name, c in cells.items()}
    return pd.DataFrame.from_dict(rows, orient="index").to_string()


def correctness(margins: pd.Series) -> np.ndarray:
    """Score each margin: 1 if positive, 1/2 if zero (a tie), 0 if negative."""
    signs: np.ndarray = np.sign(margins.to_numpy(np.float64))
    return (signs + 1) / 2


def _summarise(tested: pd.DataFrame, model: str, num_resamples: int, seed: int) -> dict[str, Any]:
    def accuracies(column: str) -> dict[str, Any]:
        groups = tested.groupby(column, sort=True)
        return {
            str(name): _accuracy(group, model, None, num_resamples, seed) for name, group in groups
        }

    margin = describe_values(tested[model].to_numpy())
    return {
        "accuracy": _accuracy(tested, model, None, num_resamples, seed),
        "weighted_accuracy": _accuracy(tested, model, "weight", num_resamples, seed),
        "by_source": accuracies("src"),
        "by_quintile": accuracies("quintile"),
        "by_seed": accuracies("seed"),
        "margin": {name: value for name, value in margin.items() if name not in ("min", "max")},
    }


def _accuracy(
    tested: pd.DataFrame, model: str, weight: str | None, num_resamples: int, seed: int
) -> dict[str, Any]:
    """The accuracy with its interval, the numbers of prefixes and pairs, and the mean margin."""
    weights = np.ones(len(tested)) if weight is None else tested[weight].to_numpy(np.float64)
    sums, totals = _cluster_sums(tested, weights * correctness(tested[model]), weights)
    return {
        **ratio_interval(sums, totals, num_resamples, seed)._asdict(),
        "n_prefixes": len(sums),
        "n_pairs": _num_pairs(tested),
        "mean_margin": float(tested[model].mean()),
    }


def _cluster_sums(tested: pd.DataFrame, *values: np.ndarray) -> list[np.ndarray]:
    """Sums of each of `values` (n,) over the rows of each prefix, `(c,)`."""
    codes, _ = pd.factorize(tested["prefix_id"])
    return [np.bincount(codes, weights=value) for value in values]


def _num_pairs(tested: pd.DataFrame) -> int:
    """The number of distinct pairs; a pair may be tested under several seeds."""
    return int(tested["pair"].nunique())


def _cosines(embeddings: np.ndarray) -> np.ndarray:
    """Cosines `(b,)` of the two halves of vectors `(b, 2d)`."""
    prefixes, responses = np.split(np.asarray(embeddings, np.float32), 2, axis=1)
    norms = np.linalg.norm(prefixes, axis=1) * np.linalg.norm(responses, axis=1)
    products = np.einsum("bd,bd->b", prefixes, responses)
    cosines: np.ndarray = np.divide(products, norms, out=np.zeros_like(norms), where=norms > 0)
    return cosines
