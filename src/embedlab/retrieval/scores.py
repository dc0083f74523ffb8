"""Retrieval metrics per query, as trec_eval computes them, and their means."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytrec_eval

from embedlab.statistics.intervals import mean_intervals, stratified_mean_intervals

# Metrics with a cutoff: our names, and trec_eval's.
MEASURES = {"nDCG": "ndcg_cut", "MAP": "map_cut", "Recall": "recall", "P": "P"}


def metric_names(cutoffs: Sequence[int]) -> list[str]:
    """List the metric columns of `score_run`, such as `nDCG@10`."""
    return [f"{name}@{k}" for name in [*MEASURES, "MRR"] for k in cutoffs]


def score_run(run: pd.DataFrame, qrels: pd.DataFrame, cutoffs: Sequence[int]) -> pd.DataFrame:
    r"""Compute nDCG, MAP, recall, precision and MRR of each judged query at each cutoff k.

    With $g_i$ the judged relevance of the document at rank $i$ (0 if unjudged), $r_i = [g_i > 0]$,
    $R$ the number of relevant documents and $g^*$ the judgements in descending order:

    - $\mathrm{nDCG@}k = \sum_{i \le k} \frac{g_i}{\log_2(i + 1)} \Big/
      \sum_{i \le k} \frac{g^*_i}{\log_2(i + 1)}$ (Järvelin & Kekäläinen 2002, linear gain)
    - $\mathrm{MAP@}k$: per query, $\frac{1}{R} \sum_{i \le k} r_i\, \mathrm{P@}i$
    - $\mathrm{Recall@}k = \frac{1}{R} \sum_{i \le k} r_i$ and
      $\mathrm{P@}k = \frac{1}{k} \sum_{i \le k} r_i$
    - $\mathrm{MRR@}k$: per query, $1 / i$ for the first relevant rank $i \le k$, else 0
      (Voorhees 1999)

    Documents are ranked by score; equal scores, like in trec_eval, by id in descending byte order,
    regardless of the order of rows. (Only beir's own MRR ranks equal scores by row instead.) A
    judged query scores 0 if the run has no document for it, or none of its judged documents is
    relevant. Unjudged queries of the run are ignored.

    Run and qrels have the columns query_id, corpus_id and score, in qrels the integer relevance.

    Returns:
        Columns query_id and `metric_names(cutoffs)`, one row for each judged query in the order of
        `qrels`, unrounded.

    References:
        https://github.com/usnistgov/trec_eval; Van Gysel & de Rijke 2018 (pytrec_eval),
        arXiv 1805.01597.

    Example:
        >>> qrels = pd.DataFrame({"query_id": ["q"], "corpus_id": ["b"], "score": [1]})
        >>> run = pd.DataFrame({"query_id": "q", "corpus_id": ["a", "b"], "score": [0.9, 0.5]})
        >>> score_run(run, qrels, [10])[["query_id", "Recall@10", "MRR@10"]].to_dict("records")
        [{'query_id': 'q', 'Recall@10': 1.0, 'MRR@10': 0.5}]
    """
    judged, results = _nested(qrels), _nested(run)
    ranks = ",".join(map(str, cutoffs))
    measures = {f"{measure}.{ranks}" for measure in MEASURES.values()} | {"recip_rank"}
    evaluator = pytrec_eval.RelevanceEvaluator(judged, measures)
    scores = evaluator.evaluate({query: results.get(query, {}) for query in judged})
    table = pd.DataFrame([scores[query] for query in judged])
    columns: dict[str, Any] = {"query_id": list(judged)}
    for name, measure in MEASURES.items():
        columns |= {f"{name}@{k}": table[f"{measure}_{k}"] for k in cutoffs}
    reciprocal = table["recip_rank"]
    columns |= {f"MRR@{k}": reciprocal.where(reciprocal >= 1 / k, 0.0) for k in cutoffs}
    return pd.DataFrame(columns)


def summarise_queries(query_metrics: pd.DataFrame, num_resamples: int, seed: int) -> dict[str, Any]:
    """Compute the mean of each metric of `score_run` with its 95 % bootstrap interval.

    With the same seed, models are compared on the same bootstrap samples of the queries.

    Returns:
        `{"n_queries": n, metric: {"mean": …, "low": …, "high": …}, …}`.
    """
    metrics = query_metrics.drop(columns="query_id")
    intervals = mean_intervals(metrics.to_numpy(), num_resamples, seed)
    named = zip(metrics.columns, intervals, strict=True)
    return {"n_queries": len(metrics), **{name: interval._asdict() for name, interval in named}}


def summarise_group(
    tables: Sequence[pd.DataFrame], num_resamples: int, seed: int
) -> dict[str, Any]:
    """Compute the averages of each metric over sets of equal weight, as `summarise_queries` does.

    `tables` has the output of `score_run` for each set; `n_queries` is their sum.
    """
    metrics = [table.drop(columns="query_id") for table in tables]
    strata = [table.to_numpy() for table in metrics]
    weights = [1 / len(tables)] * len(tables)
    intervals = stratified_mean_intervals(strata, weights, num_resamples, seed)
    named = zip(metrics[0].columns, intervals, strict=True)
    n_queries = sum(map(len, tables))
    return {"n_queries": n_queries, **{name: interval._asdict() for name, interval in named}}


def _nested(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Scores by query, then by document: the input of pytrec_eval."""
    nested: dict[str, dict[str, Any]] = {}
    columns = (table[name].tolist() for name in ("query_id", "corpus_id", "score"))
    for query, document, score in zip(*columns, strict=True):
        nested.setdefault(query, {})[document] = score
    return nested
