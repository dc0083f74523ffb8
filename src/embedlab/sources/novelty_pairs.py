"""Problem/solution pairs divided into sets: to learn novelty from, and to measure it on."""

import logging
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from embedlab.errors import InputError
from embedlab.parameters import Parameters, Seed
from embedlab.sources.sampling import draw_rows

logger = logging.getLogger(__name__)


class PairSet(NamedTuple):
    """The label of a set in figures, and whether its pairs count as novel."""

    label: str
    is_novel: bool


# In the order of tables and figures, and of increasing novelty.
PAIR_SETS = {
    "train": PairSet("train", is_novel=False),
    "held_out": PairSet("held-out", is_novel=False),
    "other_solutions": PairSet("other solutions", is_novel=True),
    "shuffled": PairSet("shuffled", is_novel=True),
    "out_of_distribution": PairSet("out of distribution", is_novel=True),
}


class NoveltyPairsParameters(Parameters):
    """How problems with solutions are divided into sets.

    Attributes:
        out_of_distribution: sources never trained on, in addition to the sources that have no row
            of split train or of a part of it, such as "train[:20]".
        held_out: share of the training problems to hold out if no training source has rows of
            another split.
        max_pairs: pairs drawn from each set, at most; null for all.
        seed: of these draws and of the shuffling.
    """

    out_of_distribution: tuple[str, ...] = ()
    held_out: float = Field(0.2, gt=0, lt=1)
    max_pairs: int | None = Field(None, ge=2)
    seed: Seed = 0


def make_novelty_pairs(problem_solutions: pd.DataFrame, p: NoveltyPairsParameters) -> pd.DataFrame:
    """Divide rows of id, problem, solution, source and split into the sets of `PAIR_SETS`.

    `train` has the first solution of each training problem, `other_solutions` further solutions of
    these, `held_out` a solution of each other problem of the same sources, `shuffled` the problems
    of `held_out` with each other's solutions, and `out_of_distribution` a solution of each problem
    of the other sources. No other two sets share a problem.

    Returns:
        Columns id, problem, solution, source, set.

    Raises:
        InputError: for nothing to train on, to hold out or to shuffle; for an unknown source.
    """
    rng = np.random.default_rng(p.seed)
    is_ood = problem_solutions["source"].isin(_ood_sources(problem_solutions, p))
    train, held_out, others = _divide(problem_solutions[~is_ood], p.held_out, rng)
    ood = problem_solutions[is_ood].drop_duplicates("problem")
    ood = ood[~ood["problem"].isin([*train["problem"], *held_out["problem"]])]
    drawn = {"train": _draw(train, p.max_pairs, rng), "held_out": _draw(held_out, p.max_pairs, rng)}
    others = others[others["problem"].isin(drawn["train"]["problem"])]
    drawn["other_solutions"] = _draw(others, p.max_pairs, rng)
    drawn["shuffled"] = _shuffle(drawn["held_out"], problem_solutions, rng)
    drawn["out_of_distribution"] = _draw(ood, p.max_pairs, rng)
    sizes = {name: len(drawn[name]) for name in PAIR_SETS}
    if not (sizes["train"] and sizes["held_out"] and sizes["shuffled"]):
        raise InputError(
            f"problem_solutions: {sizes['train']} pairs to train on, {sizes['held_out']} to hold "
            f"out, {sizes['shuffled']} to shuffle; give more problems, some of split train"
        )
    logger.info("Novelty pairs: %s", ", ".join(f"{n} {name}" for name, n in sizes.items()))
    labelled = pd.concat([drawn[name].assign(set=name) for name in PAIR_SETS], ignore_index=True)
    return labelled[["id", "problem", "solution", "source", "set"]]


def _ood_sources(pairs: pd.DataFrame, p: NoveltyPairsParameters) -> set[Any]:
    """The sources that are out of distribution (OOD)."""
    sources = set(pairs["source"])
    trained = set(pairs.loc[_is_training(pairs["split"]), "source"])
    if unknown := sorted(set(p.out_of_distribution) - sources):
        raise InputError(
            f"novelty_pairs.out_of_distribution: no pair is of source {unknown[0]}; "
            f"there are {', '.join(sorted(sources))}"
        )
    return sources - trained | set(p.out_of_distribution)


def _is_training(splits: pd.Series) -> pd.Series:
    """Whether each split is `train`, a part of it ("train[:20]") or joined to it ("train+test")."""
    return splits.str.contains(r"(?:^|\+)\s*train\s*(?:\[|\+|$)")


def _divide(
    pairs: pd.DataFrame, share: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Training problems, held-out problems, and further solutions of training problems."""
    ordered = pairs.sort_values("split", key=lambda split: ~_is_training(split), kind="stable")
    ordered = ordered.drop_duplicates(["problem", "solution"])
    first = ordered.drop_duplicates("problem")
    is_train = _is_training(first["split"]).to_numpy()
    if is_train.all():
        size = min(max(1, round(share * len(first))), len(first) - 1)
        is_train = rng.permutation(len(first)) >= size
    train, others = first[is_train], ordered.drop(first.index)
    return train, first[~is_train], others[others["problem"].isin(train["problem"])]


def _draw(pairs: pd.DataFrame, size: int | None, rng: np.random.Generator) -> pd.DataFrame:
    """Draw `size` pairs in their order; no random numbers are drawn if all pairs are taken."""
    return pairs if size is None or len(pairs) <= size else draw_rows(pairs, size, rng)


def _shuffle(pairs: pd.DataFrame, known: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Give every problem the solution of another one, and drop the pairs that are in `known`."""
    mixed = pairs.iloc[rng.permutation(len(pairs))]
    wrong = np.roll(mixed["solution"].to_numpy(), 1)
    changed = mixed.assign(id="shuffled:" + mixed["id"], solution=wrong)
    known_pairs = pd.MultiIndex.from_frame(known[["problem", "solution"]])
    changed_pairs = pd.MultiIndex.from_frame(changed[["problem", "solution"]])
    return changed[~changed_pairs.isin(known_pairs)]
