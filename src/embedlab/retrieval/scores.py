"""Retrieval metrics of each query, as trec_eval computes them."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytrec_eval

from embedlab.statistics.intervals import mean_intervals

# Our names, and trec_eval's, of the metrics that it computes at a cutoff.
MEASURES = {"nDCG": "ndcg_cut", "MAP": "map_cut", "Recall": "recall", "P": "P"}


def metric_names(cutoffs: Sequence[int]) -> list[str]:
    """The columns of `score_run`, such as `nDCG@10`."""
    return [f"{name}@{k}" for name in [*MEASURES, "MRR"] for k in cutoffs]


def drop_identical_ids(run: pd.DataFrame) -> pd.DataFrame:
    """A run without the documents that have their query's id, as beir's `evaluate` drops them.

    Some sets (ArguAna, Quora) take their queries from the corpus: each would find itself first.
    """
    return run[run["query_id"] != run["corpus_id"]].reset_index(drop=True)


def score_run(run: pd.DataFrame, qrels: pd.DataFrame, cutoffs: Sequence[int]) -> pd.DataFrame:
    r"""nDCG, MAP, recall, precision and MRR of each judged query, cut at each rank k.

    With $g_i$ the judged relevance of the document at rank $i$ (0 if unjudged), $r_i = [g_i > 0]$,
    $R$ the number of relevant documents and $g^*$ the judgements in descending order:

    - $\mathrm{nDCG@}k = \sum_{i \le k} \frac{g_i}{\log_2(i + 1)} \Big/
      \sum_{i \le k} \frac{g^*_i}{\log_2(i + 1)}$ (Järvelin & Kekäläinen 2002, linear gain)
    - $\mathrm{MAP@}k$: of one query, $\frac{1}{R} \sum_{i \le k} r_i\, \mathrm{P@}i$
    - $\mathrm{Recall@}k = \frac{1}{R} \sum_{i \le k} r_i$ and
      $\mathrm{P@}k = \frac{1}{k} \sum_{i \le k} r_i$
    - $\mathrm{MRR@}k$: of one query, $1 / i$ for the first relevant rank $i \le k$, else 0
      (Voorhees 1999)

    Documents are ranked by score, and equal scores as trec_eval does: by id, downwards in byte
    order, whatever the order of the rows. (beir's own MRR alone ranks equals by row instead.)
    A query that is judged counts: with 0 if the run has nothing for it, or if none of its judged
    documents is relevant. What the run has for other queries is not looked at.

    Args:
        run: columns query_id, corpus_id, score.
        qrels: columns query_id, corpus_id, score (integer relevance).
        cutoffs: the ranks k.

    Returns:
        Column query_id and those of `metric_names`; one row a judged query, in the order of
        `qrels`, unrounded.

    References:
        https://github.com/usnistgov/trec_eval; Van Gysel & de Rijke 2018 (pytrec_eval),
        arXiv 1805.01597.
    """
    judged = _nested(qrels)
    results = _nested(run)
    ranks = ",".join(map(str, cutoffs))
    measures = {f"{measure}.{ranks}" for measure in MEASURES.values()} | {"recip_rank"}
    evaluator = pytrec_eval.RelevanceEvaluator(judged, measures)
    scores = evaluator.evaluate({query: results.get(query, {}) for query in judged})
    table = pd.DataFrame([scores[query] for query in judged])
    columns: dict[str, Any] = {"query_id": list(judged)}
    for name, measure in MEASURES.items():
        columns |= {f"{name}@{k}": table[f"{measure}_{k}"] for k in cutoffs}
    rank = table["recip_rank"]
    columns |= {f"MRR@{k}": rank.where(rank >= 1 / k, 0.0) for k in cutoffs}
    return pd.DataFrame(columns)


def summarise_queries(query_metrics: pd.DataFrame, n_resamples: int, seed: int) -> dict[str, Any]:
    """The mean of each metric over queries, with its 95 % bootstrap interval.

    Args:
        query_metrics: as `score_run` gives it.
        n_resamples: bootstrap samples of the queries.
        seed: of the samples; the same for two models compares them on the same samples.

    Returns:
        `{"n_queries": n, metric: {"mean": …, "low": …, "high": …}, …}`.
    """
    metrics = query_metrics.drop(columns="query_id")
    intervals = mean_intervals(metrics.to_numpy(), n_resamples, seed)
    named = zip(metrics.columns, intervals, strict=True)
    return {"n_queries": len(metrics), **{name: interval._asdict() for name, interval in named}}


def format_summaries(
    summaries: Mapping[str, Mapping[str, Mapping[str, Any]]], names: Sequence[str]
) -> str:
    """A text table of set and model by metric, in points; the first metric with its interval.

    Args:
        summaries: by set, then by model, as `summarise_queries` gives them.
        names: the metrics to show.
    """
    rows = []
    for retrieval_set, models in summaries.items():
        for model, summary in models.items():
            points = {name: f"{100 * summary[name]['mean']:.1f}" for name in names}
            low, high = (100 * summary[names[0]][end] for end in ("low", "high"))
            points[names[0]] += f" [{low:.1f}, {high:.1f}]"
            rows.append({"set": retrieval_set, "model": model, **points})
    return pd.DataFrame(rows).to_string(index=False)


def _nested(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Scores by query, then by document: what pytrec_eval reads."""
    codes, queries = pd.factorize(table["query_id"])
    order = np.argsort(codes, kind="stable")
    documents = table["corpus_id"].to_numpy(object)[order].tolist()
    scores = table["score"].to_numpy()[order].tolist()
    bounds = [0, *np.bincount(codes).cumsum().tolist()]
    return {
        str(query): dict(zip(documents[start:end], scores[start:end], strict=True))
        for query, (start, end) in zip(queries, pairwise(bounds), strict=True)
    }
