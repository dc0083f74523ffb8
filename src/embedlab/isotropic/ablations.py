"""Variants of a training held against each other and against their base."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from embedlab.isotropic.inputs import project
from embedlab.isotropic.models import IsotropicData
from embedlab.isotropic.parameters import IsotropicTrainingParameters
from embedlab.isotropic.training import MEASURE, load_projection, train_isotropic
from embedlab.retrieval.isotropy import isotropy
from embedlab.retrieval.scores import drop_identical_ids, score_run
from embedlab.search.exact import Similarity, exact_search
from embedlab.statistics.intervals import mean_interval
from embedlab.statistics.paired_tests import paired_randomisation_test
from embedlab.training.checkpoints import Checkpoint

logger = logging.getLogger(__name__)

BASE = "base"
ISOTROPY_MEASURES = ("isoscore", "mean_cosine", "partition_isotropy", "effective_rank", "sigreg")


@dataclass(frozen=True)
class SearchSet:
    """A retrieval set with its base vectors.

    Attributes:
        name: of the set.
        queries: `(q, d)`.
        query_ids: the q identifiers.
        corpus: `(n, d)`.
        corpus_ids: the n identifiers.
        qrels: columns query_id, corpus_id, score.
    """

    name: str
    queries: np.ndarray
    query_ids: Sequence[str]
    corpus: np.ndarray
    corpus_ids: Sequence[str]
    qrels: pd.DataFrame


@dataclass(frozen=True)
class Ablation:
    """What variants are trained on and judged by.

    Attributes:
        data: the training data.
        sets: the sets to test on.
        max_vectors: vectors whose isotropy is measured, at most.
    """

    data: IsotropicData
    sets: Sequence[SearchSet]
    max_vectors: int

    def judge(
        self,
        variants: Mapping[str, IsotropicTrainingParameters],
        seeds: Sequence[int],
        checkpoint_of: Callable[[str, IsotropicTrainingParameters], Checkpoint],
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Train each variant with each seed, and judge it; a finished training is not repeated.

        Returns:
            nDCG@10 of every query (columns variant, seed, set, query_id, nDCG@10) and the isotropy
            of every corpus (variant, seed, set and the measures); both of the base, too.
        """
        parts = [self._judge(BASE, 0, None)]
        for name, parameters in variants.items():
            for seed in seeds:
                own = parameters.model_copy(update={"seed": seed})
                checkpoint = checkpoint_of(f"{name}-{seed}", own)
                title = f"{name}, seed {seed}"
                model, history = train_isotropic(self.data, own, checkpoint, name=title)
                best = history.best[MEASURE]
                logger.info("%s: nDCG@10 on validation queries %.1f", title, 100 * best)
                projection = load_projection(model, own.projection)
                parts.append(self._judge(name, seed, projection))
        scores, measures = zip(*parts, strict=True)
        return pd.concat(scores, ignore_index=True), pd.concat(measures, ignore_index=True)

    def _judge(
        self, variant: str, seed: int, projection: torch.nn.Module | None
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        scores, measures = [], []
        for own in self.sets:
            queries, corpus = (
                vectors if projection is None else _projected(projection, vectors)
                for vectors in (own.queries, own.corpus)
            )
            similarity: Similarity = "cosine" if projection is None else "euclidean"
            # One document more than is scored: the query itself may have to be dropped.
            run = exact_search(queries, corpus, own.query_ids, own.corpus_ids, 11, similarity)
            names: dict[str, Any] = {"variant": variant, "seed": seed, "set": own.name}
            scored = score_run(drop_identical_ids(run), own.qrels, [10])[["query_id", MEASURE]]
            scores.append(scored.assign(**names))
            found = isotropy(corpus, self.max_vectors, 0)
            measures.append(names | {name: found[name] for name in ISOTROPY_MEASURES})
        return pd.concat(scores), pd.DataFrame(measures)


def summarise_ablation(
    scores: pd.DataFrame, measures: pd.DataFrame, n_resamples: int, seed: int
) -> list[dict[str, Any]]:
    """A row for each variant, the base first.

    The mean over seeds of each query's score is compared with the base's score of that query, so
    that seeds do not pass for further queries.

    Args:
        scores: as `Ablation.judge` gives them.
        measures: the same.
        n_resamples: bootstrap samples behind each interval, and sign flips of each test.
        seed: of both.

    Returns:
        `variant`, `seeds`, nDCG@10 and its mean over sets (`average`), by set the difference from
        the base with its 95 % interval and p-value and the deviation over seeds, and the isotropy
        measures, means over sets and seeds.
    """
    base = scores[scores["variant"] == BASE].set_index(["set", "query_id"])[MEASURE]
    rows = []
    for variant, own in scores.groupby("variant", sort=False):
        means = own.groupby(["set", "query_id"], sort=False)[MEASURE].mean()
        by_seed = own.groupby(["set", "seed"])[MEASURE].mean()
        sets = {}
        for name, values in means.groupby("set", sort=False):
            differences = (values - base.loc[values.index]).to_numpy()
            mean, low, high = (float(x) for x in mean_interval(differences, n_resamples, seed))
            sets[str(name)] = {
                MEASURE: float(values.mean()),
                "difference": {"mean": mean, "low": low, "high": high},
                "p_value": paired_randomisation_test(differences, n_resamples, seed),
                "std_over_seeds": float(by_seed.loc[name].std(ddof=0)),
            }
        found = measures[measures["variant"] == variant][list(ISOTROPY_MEASURES)].mean()
        rows.append(
            {
                "variant": variant,
                "seeds": sorted(int(s) for s in own["seed"].unique()),
                "average": float(np.mean([own_set[MEASURE] for own_set in sets.values()])),
                "sets": sets,
                "isotropy": found.to_dict(),
            }
        )
    return rows


def ablation_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows of `summarise_ablation` as a table, nDCG@10 in points."""
    lines = []
    for row in rows:
        line = {"variant": row["variant"]}
        for name, own in row["sets"].items():
            line[f"{name} {MEASURE}"] = 100 * own[MEASURE]
            line[f"{name} difference"] = 100 * own["difference"]["mean"]
            line[f"{name} p"] = own["p_value"]
        lines.append(line | row["isotropy"])
    return pd.DataFrame(lines)


def _projected(projection: torch.nn.Module, vectors: np.ndarray) -> np.ndarray:
    return project(projection, vectors, np.arange(len(vectors)), torch.device("cpu"))
