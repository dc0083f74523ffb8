"""Queries on which one model ranks better or worse than another, with their documents."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from embedlab.sources.retrieval_set import RetrievalSet, full_texts
from embedlab.text_table import find_rows, take_rows

# Documents shown for each model, and characters shown of a text.
NUM_SHOWN, TEXT_LENGTH = 3, 300


@dataclass(frozen=True)
class Results:
    """The ranking of a model on a set, and its scores.

    Attributes:
        run: query_id, corpus_id, score, the best document of each query first.
        query_metrics: as `score_run` gives them.
    """

    run: pd.DataFrame
    query_metrics: pd.DataFrame


def find_examples(
    retrieval_set: RetrievalSet, model: Results, baseline: Results, metric: str, num_examples: int
) -> dict[str, list[dict[str, Any]]]:
    """The queries with the greatest gain in `metric`, and those with the greatest loss.

    At most `num_examples` queries of each kind; equal ones are in the order of the judgements.

    Returns:
        `wins` and `losses`: query_id, query, difference; for `model` and `baseline`, the metric,
        `ranks` of the relevant documents by id (null beyond the run's end) and the `top` documents:
        id, relevance (null if unjudged) and the beginning of the text.
    """
    systems = {"model": model, "baseline": baseline}
    metrics = {name: of.query_metrics.set_index("query_id") for name, of in systems.items()}
    scores = pd.DataFrame({name: table[metric] for name, table in metrics.items()})
    gains = (scores["model"] - scores["baseline"]).rename("difference")
    queries = retrieval_set.queries.set_index("id")["text"]

    ascending = gains.sort_values(kind="stable")
    descending = gains.sort_values(kind="stable", ascending=False)
    wins = descending[descending > 0].index[:num_examples]
    losses = ascending[ascending < 0].index[:num_examples]
    shown = _shown_texts(retrieval_set.corpus, [model.run, baseline.run], [*wins, *losses])

    def describe(query: str) -> dict[str, Any]:
        judged = retrieval_set.qrels[retrieval_set.qrels["query_id"] == query]
        relevance = dict(zip(judged["corpus_id"], judged["score"].tolist(), strict=True))
        return {
            "query_id": query,
            "query": queries[query],
            "difference": float(gains[query]),
            **{
                name: {metric: float(scores[name][query])} | _found(query, of.run, relevance, shown)
                for name, of in systems.items()
            },
        }

    return {"wins": list(map(describe, wins)), "losses": list(map(describe, losses))}


def _shown_texts(corpus: pa.Table, runs: list[pd.DataFrame], queries: list[str]) -> dict[str, str]:
    """The beginnings of the first documents of some queries, by document id."""
    first = [run[run["query_id"].isin(queries)].groupby("query_id").head(NUM_SHOWN) for run in runs]
    ids = pd.concat(first)["corpus_id"].unique()
    return {
        name: text if len(text) <= TEXT_LENGTH else f"{text[:TEXT_LENGTH]}…"
        for name, text in zip(
            ids, full_texts(take_rows(corpus, find_rows(corpus["id"], ids))), strict=True
        )
    }


def _found(
    query: str, run: pd.DataFrame, relevance: Mapping[str, int], shown: Mapping[str, str]
) -> dict[str, Any]:
    """The ranks of the relevant documents, and the first documents found."""
    found = run.loc[run["query_id"] == query, "corpus_id"].tolist()
    ranks = {name: rank for rank, name in enumerate(found, 1)}
    return {
        "ranks": {name: ranks.get(name) for name, grade in relevance.items() if grade > 0},
        "top": [
            {"id": name, "relevance": relevance.get(name), "text": shown[name]}
            for name in found[:NUM_SHOWN]
        ],
    }
