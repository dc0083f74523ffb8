"""Nodes of the evaluation pipeline: search, scores, and the measures of each model."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from embedlab.encoders.embeddings import Embeddings
from embedlab.pipelines.evaluation.parameters import EvaluationParameters
from embedlab.retrieval.distances import pair_distances, summarise_distances
from embedlab.retrieval.identical import drop_identical
from embedlab.retrieval.isotropy import isotropy
from embedlab.retrieval.scores import score_run
from embedlab.retrieval.trec import format_trec_run
from embedlab.search.bm25 import bm25_search
from embedlab.search.exact import exact_search
from embedlab.sources.retrieval_set import full_texts
from embedlab.text_table import as_ids

# The pairs of a query and a document whose distances are measured.
KINDS = ("relevant", "random")


def search_bm25(
    corpus: pa.Table,
    queries: pd.DataFrame,
    identical: list[str],
    parameters: EvaluationParameters,
) -> pd.DataFrame:
    """Search by BM25, without the documents of `identical_ids`."""
    run = bm25_search(
        list(full_texts(corpus)),
        corpus["id"],
        queries["text"].tolist(),
        as_ids(queries["id"]),
        parameters.bm25,
        _search_depth(parameters, identical),
    )
    return _finish(run, parameters, identical)


def search_embeddings(
    queries: Embeddings,
    corpus: Embeddings,
    identical: list[str],
    parameters: EvaluationParameters,
) -> pd.DataFrame:
    """Search by a model's vectors, without the documents of `identical_ids`."""
    run = exact_search(
        *(queries.vectors, corpus.vectors, queries.ids, corpus.ids),
        _search_depth(parameters, identical),
        parameters.similarity_of(corpus),
    )
    return _finish(run, parameters, identical)


def score_queries(
    run: pd.DataFrame, qrels: pd.DataFrame, parameters: EvaluationParameters
) -> pd.DataFrame:
    """Compute every metric of every judged query."""
    return score_run(run, qrels, parameters.cutoffs)


def write_trec_runs(**runs: pd.DataFrame) -> dict[str, str]:
    """Format the runs, by model, as TREC run files."""
    return {model: format_trec_run(run, model) for model, run in runs.items()}


def measure_isotropy(
    queries: Embeddings,
    corpus: Embeddings,
    qrels: pd.DataFrame,
    parameters: EvaluationParameters,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Measure the isotropy of a model's documents, and distances of relevant and random pairs."""
    distances = pair_distances(
        *(queries.vectors, corpus.vectors, queries.ids, corpus.ids, qrels),
        *(parameters.max_pairs, parameters.seed, parameters.similarity_of(corpus)),
    )
    measures = isotropy(corpus.vectors, parameters.max_vectors, parameters.seed)
    kinds = np.repeat(KINDS, [len(values) for values in distances])
    table = pd.DataFrame({"pair": kinds, "distance": np.concatenate(distances)})
    return measures | {"distances": summarise_distances(*distances)}, table


def _search_depth(parameters: EvaluationParameters, identical: list[str]) -> int:
    """One document more than `top_k` if a query's own may have to be dropped."""
    return parameters.top_k + bool(identical)


def _finish(
    run: pd.DataFrame, parameters: EvaluationParameters, identical: list[str]
) -> pd.DataFrame:
    """The run to score: `top_k` documents per query, without the identical ones."""
    run = drop_identical(run, identical)
    return run.groupby("query_id", sort=False).head(parameters.top_k).reset_index(drop=True)
