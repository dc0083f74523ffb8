"""The sets of pairs that novelty is learnt from and measured on."""

import logging
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from embedlab.errors import InputError
from embedlab.parameters import Parameters, Seed

logger = logging.getLogger(__name__)

COLUMNS = ["id", "problem", "solution", "source", "set"]
SETS = ("train", "held_out", "other_solutions", "shuffled", "out_of_distribution")


class NoveltyPairsParameters(Parameters):
    """How problems with solutions are divided into sets.

    Attributes:
        out_of_distribution: sources that are never trained on, beside those without a row whose
            split is train.
        held_out: share of the training problems to hold out where no source that is trained on has
            rows of another split.
        max_pairs: pairs drawn from each set, at most; null for all.
        seed: of these draws and of the shuffling.
    """

    out_of_distribution: tuple[str, ...] = ()
    held_out: float = Field(0.2, gt=0, lt=1)
    max_pairs: int | None = Field(None, ge=2)
    seed: Seed = 0


def make_novelty_pairs(problem_solutions: pd.DataFrame, p: NoveltyPairsParameters) -> pd.DataFrame:
    """Divide problems with solutions into sets, and add held-out problems with wrong solutions.

    `train` has one solution of each training problem, its first; `other_solutions` the further ones
    of these problems. `held_out` has other problems of the same sources, `shuffled` the problems of
    `held_out` with each other's solutions, and `out_of_distribution` one solution of each problem
    of the other sources. No problem is in two of these, but in `train` and `other_solutions`, or in
    `held_out` and `shuffled`.

    Args:
        problem_solutions: columns id, problem, solution, source, split.
        p: how to divide.

    Returns:
        Columns id, problem, solution, source, set; the sets one after the other.

    Raises:
        InputError: if there is nothing to train on, to hold out or to shuffle; if a source is
            unknown.
    """
    rng = np.random.default_rng(p.seed)
    foreign = problem_solutions["source"].isin(_foreign_sources(problem_solutions, p))
    train, held_out, others = _divide(problem_solutions[~foreign], p.held_out, rng)
    abroad = problem_solutions[foreign].drop_duplicates("problem")
    abroad = abroad[~abroad["problem"].isin([*train["problem"], *held_out["problem"]])]
    drawn = {"train": _draw(train, p.max_pairs, rng), "held_out": _draw(held_out, p.max_pairs, rng)}
    trained = others["problem"].isin(drawn["train"]["problem"])
    drawn["other_solutions"] = _draw(others[trained], p.max_pairs, rng)
    drawn["shuffled"] = _shuffle(drawn["held_out"], problem_solutions, rng)
    drawn["out_of_distribution"] = _draw(abroad, p.max_pairs, rng)
    sizes = {name: len(drawn[name]) for name in SETS}
    if not (sizes["train"] and sizes["held_out"] and sizes["shuffled"]):
        raise InputError(
            f"problem_solutions: {sizes['train']} pairs to train on, {sizes['held_out']} to hold "
            f"out, {sizes['shuffled']} to shuffle; give more problems, some of split train"
        )
    logger.info("Novelty pairs: %s", ", ".join(f"{n} {name}" for name, n in sizes.items()))
    labelled = [drawn[name].assign(set=name) for name in SETS]
    return pd.concat(labelled, ignore_index=True)[COLUMNS]


def _foreign_sources(pairs: pd.DataFrame, p: NoveltyPairsParameters) -> set[Any]:
    """The sources that are out of distribution."""
    sources = set(pairs["source"])
    trained = set(pairs.loc[pairs["split"] == "train", "source"])
    if unknown := sorted(set(p.out_of_distribution) - sources):
        raise InputError(
            f"novelty_pairs.out_of_distribution: no pair is of source {unknown[0]}; "
            f"there are {', '.join(sorted(sources))}"
        )
    return sources - trained | set(p.out_of_distribution)


def _divide(
    pairs: pd.DataFrame, share: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Training problems, held-out problems, and further solutions of training problems."""
    of_train = pairs["split"] == "train"
    ordered = pd.concat([pairs[of_train], pairs[~of_train]])
    ordered = ordered.drop_duplicates(["problem", "solution"])
    first = ordered.drop_duplicates("problem")
    train, held_out = first[first["split"] == "train"], first[first["split"] != "train"]
    if held_out.empty:
        size = min(max(1, round(share * len(train))), len(train) - 1)
        chosen = rng.permutation(len(train)) < size
        train, held_out = train[~chosen], train[chosen]
    others = ordered.drop(first.index)
    return train, held_out, others[others["problem"].isin(train["problem"])]


def _draw(pairs: pd.DataFrame, size: int | None, rng: np.random.Generator) -> pd.DataFrame:
    """Draw `size` pairs, in their order, or take all where there are not more."""
    if size is None or len(pairs) <= size:
        return pairs
    return pairs.iloc[np.sort(rng.permutation(len(pairs))[:size])]


def _shuffle(pairs: pd.DataFrame, right: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Give every problem the solution of another one; those that are `right` are left out."""
    mixed = pairs.iloc[rng.permutation(len(pairs))]
    wrong = np.roll(mixed["solution"].to_numpy(), 1)
    changed = mixed.assign(id="shuffled:" + mixed["id"], solution=wrong)
    known = pd.MultiIndex.from_frame(right[["problem", "solution"]])
    return changed[~pd.MultiIndex.from_frame(changed[["problem", "solution"]]).isin(known)]
