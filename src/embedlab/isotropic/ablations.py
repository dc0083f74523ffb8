"""Variants of a training, compared with one another and with their base."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import pandas as pd
from torch import nn

from embedlab.encoders.embeddings import Embeddings
from embedlab.isotropic.inputs import project
from embedlab.isotropic.models import IsotropicData
from embedlab.isotropic.parameters import IsotropicTrainingParameters
from embedlab.isotropic.training import MEASURE, load_projection, train_isotropic
from embedlab.retrieval.comparison import average
from embedlab.retrieval.identical import drop_identical
from embedlab.retrieval.isotropy import isotropy
from embedlab.retrieval.scores import score_run
from embedlab.search.exact import exact_search
from embedlab.statistics.intervals import mean_interval
from embedlab.statistics.paired_tests import paired_randomisation_test
from embedlab.training.checkpoints import Checkpoint

logger = logging.getLogger(__name__)

BASE = "base"
ISOTROPY_MEASURES = ("isoscore", "mean_cosine", "partition_isotropy", "effective_rank", "sigreg")


@dataclass(frozen=True)
class SearchSet:
    """A retrieval set as vectors of the base.

    Attributes:
        qrels: columns query_id, corpus_id and score.
        identical: the result of `identical_ids`.
    """

    name: str
    queries: Embeddings
    corpus: Embeddings
    qrels: pd.DataFrame
    identical: Sequence[str] = ()


@dataclass(frozen=True)
class Ablation:
    """The data that variants are trained on, and the sets that they are evaluated on.

    Isotropy is measured on a sample of at most `max_vectors` of each corpus.
    """

    data: IsotropicData
    sets: Sequence[SearchSet]
    max_vectors: int

    def evaluate(
        self,
        variants: Mapping[str, IsotropicTrainingParameters],
        seeds: Sequence[int],
        checkpoint_of: Callable[[str, IsotropicTrainingParameters], Checkpoint],
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Evaluate the base, then train each variant with each seed and evaluate it.

        Returns:
            nDCG@10 of every query (columns query_id, nDCG@10, variant, seed, set), and the isotropy
            of every corpus (variant, seed, set and the measures).
        """
        tables = [self._evaluate(BASE, 0, None)]
        for name, seed in product(variants, seeds):
            parameters = variants[name].model_copy(update={"seed": seed})
            checkpoint, title = checkpoint_of(f"{name}-{seed}", parameters), f"{name}, seed {seed}"
            model, history = train_isotropic(self.data, parameters, checkpoint, name=title)
            best = 100 * history.best[MEASURE]
            logger.info("%s: nDCG@10 on validation queries %.1f", title, best)
            projection = load_projection(model, parameters.projection)
            tables.append(self._evaluate(name, seed, projection))
        scores, measures = zip(*tables, strict=True)
        return pd.concat(scores, ignore_index=True), pd.concat(measures, ignore_index=True)

    def _evaluate(
        self, variant: str, seed: int, projection: nn.Module | None
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        scores, measures = [], []
        for search_set in self.sets:
            queries, corpus = search_set.queries.vectors, search_set.corpus.vectors
            if projection is not None:
                queries, corpus = project(projection, queries), project(projection, corpus)
            # One more than nDCG@10 needs, as the query itself may have to be dropped.
            run = exact_search(
                *(queries, corpus, search_set.queries.ids, search_set.corpus.ids, 11),
                "cosine" if projection is None else "euclidean",
            )
            key: dict[str, Any] = {"variant": variant, "seed": seed, "set": search_set.name}
            run = drop_identical(run, search_set.identical)
            scored = score_run(run, search_set.qrels, [10])
            scores.append(scored[["query_id", MEASURE]].assign(**key))
            measured = isotropy(corpus, self.max_vectors, 0)
            measures.append(key | {name: measured[name] for name in ISOTROPY_MEASURES})
        return pd.concat(scores), pd.DataFrame(measures)


def summarise_ablation(
    scores: pd.DataFrame, measures: pd.DataFrame, num_resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Summarise each variant, the base first.

    A query's score is averaged over seeds before it is compared with the base's, so that the number
    of seeds does not increase the sample size. `num_resamples` are the bootstrap samples of each
    interval, and the sign flips of each test; the first two arguments are those of
    `Ablation.evaluate`.

    Returns:
        For each variant nDCG@10 as the `average` of its `sets`; by set nDCG@10, the `difference`
        from the base with its 95 % interval and `p_value`, and the `std_over_seeds`; and the
        `isotropy` measures, means over sets and seeds.
    """
    base = scores[scores["variant"] == BASE].set_index(["set", "query_id"])[MEASURE]
    rows = []
    for variant, table in scores.groupby("variant", sort=False):
        seed_std = table.groupby(["set", "seed"])[MEASURE].mean().groupby("set").std(ddof=0)
        means = table.groupby(["set", "query_id"], sort=False)[MEASURE].mean()
        sets: dict[str, dict[str, Any]] = {}
        for name, values in means.groupby("set", sort=False):
            differences = (values - base.loc[values.index]).to_numpy()
            interval = mean_interval(differences, num_resamples, seed)
            sets[str(name)] = {
                MEASURE: float(values.mean()),
                "difference": interval._asdict(),
                "p_value": paired_randomisation_test(differences, num_resamples, seed),
                "std_over_seeds": float(seed_std[name]),
            }
        measured = measures[measures["variant"] == variant][list(ISOTROPY_MEASURES)].mean()
        rows.append(
            {
                "variant": variant,
                "seeds": sorted(int(seed) for seed in table["seed"].unique()),
                "average": average({name: summary[MEASURE] for name, summary in sets.items()}),
                "sets": sets,
                "isotropy": measured.to_dict(),
            }
        )
    return rows


def ablation_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows of `summarise_ablation` as a table, nDCG@10 in points."""
    lines = []
    for row in rows:
        line = {"variant": row["variant"]}
        for name, summary in row["sets"].items():
            line[f"{name} {MEASURE}"] = 100 * summary[MEASURE]
            line[f"{name} difference"] = 100 * summary["difference"]["mean"]
            line[f"{name} p"] = summary["p_value"]
        lines.append(line | row["isotropy"])
    return pd.DataFrame(lines)
