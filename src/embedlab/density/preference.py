"""How well rewards agree with preferences.

A margin is the reward of a pair's chosen answer minus that of its rejected one. Pairs of one prefix
are not independent, so every interval and test resamples prefixes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from embedlab.statistics.intervals import Interval, ratio_interval
from embedlab.statistics.paired_tests import paired_randomisation_test

PERCENTILES = (5, 25, 50, 75, 95)
RARE_QUINTILE = 5
# Answers compared at a time.
BLOCK_SIZE = 65536


def cosine_margins(embeddings: np.ndarray, chosen: np.ndarray, rejected: np.ndarray) -> np.ndarray:
    """Margins of the untrained reward cos(prefix, answer).

    Args:
        embeddings: prefixes and answers end to end, `(m, 2d)`; may be a memory map.
        chosen: rows of the chosen answers, `(p,)`.
        rejected: rows of the rejected answers, `(p,)`.

    Returns:
        The margins, `(p,)`; a zero vector has cosine 0 with everything.
    """
    blocks = range(0, len(embeddings), BLOCK_SIZE)
    cosines = np.concatenate([_cosines(embeddings[i : i + BLOCK_SIZE]) for i in blocks])
    margins: np.ndarray = cosines[chosen] - cosines[rejected]
    return margins


def summarise_margins(
    tested: pd.DataFrame, models: Sequence[str], n_resamples: int, seed: int
) -> dict[str, Any]:
    """Accuracy of each model on tested pairs: in all, weighted, by source, quintile and seed.

    Args:
        tested: columns seed, pair, prefix_id, src, weight, quintile, and the margins of each model;
            a row for each pair and each seed whose test part it is in.
        models: names of the columns of margins.
        n_resamples: bootstrap samples behind each interval.
        seed: of the samples.

    Returns:
        By model: accuracies with 95 % intervals, whose ends are None where there is one prefix
        only, and statistics of the margins; JSON-ready.
    """
    return {model: _summarise(tested, model, n_resamples, seed) for model in models}


def compare_models(
    tested: pd.DataFrame, model: str, base: str, n_resamples: int, seed: int
) -> dict[str, Any] | None:
    """How much more accurate `model` is than `base` on the same pairs, and whether by chance.

    Args:
        tested: as in `summarise_margins`.
        model: a column of margins.
        base: another one.
        n_resamples: bootstrap samples, and random sign flips of the test.
        seed: of both.

    Returns:
        Difference of the accuracies with its interval, the p-value of a paired randomisation test
        over prefixes, and the numbers of prefixes and pairs; None without pairs.
    """
    if tested.empty:
        return None
    difference = correctness(tested[model]) - correctness(tested[base])
    sums, counts = _cluster_sums(tested, difference, np.ones(len(tested)))
    return {
        **ratio_interval(sums, counts, n_resamples, seed)._asdict(),
        "p_value": paired_randomisation_test(sums, n_resamples, seed),
        "n_prefixes": len(sums),
        "n_pairs": _n_pairs(tested),
    }


def format_accuracies(summaries: Mapping[str, Any]) -> str:
    """A table of the output of `summarise_margins`: a row a model, accuracies in points."""
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
    """1 where the chosen answer has the greater reward, 1/2 for a tie, else 0."""
    return (np.sign(margins.to_numpy(np.float64)) + 1) / 2


def _summarise(tested: pd.DataFrame, model: str, n_resamples: int, seed: int) -> dict[str, Any]:
    def accuracies(column: str) -> dict[str, Any]:
        groups = tested.groupby(column, sort=True)
        return {
            str(name): _accuracy(group, model, None, n_resamples, seed) for name, group in groups
        }

    return {
        "accuracy": _accuracy(tested, model, None, n_resamples, seed),
        "weighted_accuracy": _accuracy(tested, model, "weight", n_resamples, seed),
        "by_source": accuracies("src"),
        "by_quintile": accuracies("quintile"),
        "by_seed": accuracies("seed"),
        "margin": _margin_statistics(tested[model].to_numpy(np.float64)),
    }


def _accuracy(
    tested: pd.DataFrame, model: str, weight: str | None, n_resamples: int, seed: int
) -> dict[str, Any]:
    """The accuracy with its interval, what it is of, and the mean margin."""
    weights = np.ones(len(tested)) if weight is None else tested[weight].to_numpy(np.float64)
    sums, totals = _cluster_sums(tested, weights * correctness(tested[model]), weights)
    return {
        **ratio_interval(sums, totals, n_resamples, seed)._asdict(),
        "n_prefixes": len(sums),
        "n_pairs": _n_pairs(tested),
        "mean_margin": float(tested[model].mean()),
    }


def _cluster_sums(tested: pd.DataFrame, *values: np.ndarray) -> list[np.ndarray]:
    """Sums of each of `values` (n,) over the rows of each prefix, `(c,)`."""
    codes, _ = pd.factorize(tested["prefix_id"])
    return [np.bincount(codes, weights=value) for value in values]


def _n_pairs(tested: pd.DataFrame) -> int:
    """Distinct pairs: one may be tested under several seeds."""
    return int(tested["pair"].nunique())


def _margin_statistics(margins: np.ndarray) -> dict[str, float]:
    percentiles = np.percentile(margins, PERCENTILES)
    named = {f"p{p}": float(value) for p, value in zip(PERCENTILES, percentiles, strict=True)}
    return {"mean": float(margins.mean()), "std": float(margins.std()), **named}


def _cosines(embeddings: np.ndarray) -> np.ndarray:
    """Cosines (b,) of the two halves of vectors (b, 2d)."""
    prefixes, answers = np.split(np.asarray(embeddings, np.float32), 2, axis=1)
    norms = np.linalg.norm(prefixes, axis=1) * np.linalg.norm(answers, axis=1)
    products = np.einsum("bd,bd->b", prefixes, answers)
    return np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
