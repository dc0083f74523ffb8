"""Nodes of the evaluation pipeline."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from embedlab.encoders.collection import document_texts, query_texts
from embedlab.pipelines.evaluation.parameters import EvaluationParameters
from embedlab.retrieval.plots import plot_metric_bars
from embedlab.retrieval.scores import drop_identical_ids, score_run, summarise_queries
from embedlab.retrieval.tables import format_summaries
from embedlab.retrieval.trec import format_trec_run
from embedlab.search.bm25 import bm25_search
from embedlab.search.exact import exact_search
from embedlab.sources.retrieval_set import RetrievalSet

logger = logging.getLogger(__name__)

# Embeddings, ids and metadata as the catalog has them.
Published = tuple[np.ndarray, list[str], dict[str, Any]]


def search_bm25(retrieval_set: RetrievalSet, parameters: EvaluationParameters) -> pd.DataFrame:
    """The run of BM25."""
    run = bm25_search(
        retrieval_set.document_texts(),
        retrieval_set.corpus["id"].tolist(),
        retrieval_set.queries["text"].tolist(),
        retrieval_set.queries["id"].tolist(),
        parameters.bm25,
        _search_depth(parameters),
    )
    return _finish(run, parameters)


def embedding_search(encoder: str, name: str) -> Callable[..., pd.DataFrame]:
    """The node function that searches the set of this name with this encoder's vectors."""

    def search_embeddings(
        retrieval_set: RetrievalSet,
        query_embeddings: np.ndarray,
        query_ids: list[str],
        corpus_embeddings: np.ndarray,
        corpus_ids: list[str],
        query_metadata: dict[str, Any],
        corpus_metadata: dict[str, Any],
        parameters: EvaluationParameters,
    ) -> pd.DataFrame:
        queries = (query_embeddings, query_ids, query_metadata)
        corpus = (corpus_embeddings, corpus_ids, corpus_metadata)
        check_vectors(f"{encoder}.{name}", retrieval_set, queries, corpus)
        run = exact_search(
            query_embeddings,
            corpus_embeddings,
            query_ids,
            corpus_ids,
            _search_depth(parameters),
            parameters.similarity_of(encoder),
        )
        return _finish(run, parameters)

    return search_embeddings


def check_vectors(
    name: str, retrieval_set: RetrievalSet, queries: Published, corpus: Published
) -> None:
    """Check that a model's vectors are of the present texts of a set.

    Args:
        name: `{model}.{set}`.
        retrieval_set: the set.
        queries: embeddings, ids and metadata of its queries.
        corpus: the same of its documents.

    Raises:
        InputError: if they are of others.
    """
    query_texts(retrieval_set).check_embeddings_of(f"{name}_queries", *queries)
    document_texts(retrieval_set).check_embeddings_of(f"{name}_corpus", *corpus)


def score_queries(
    run: pd.DataFrame, retrieval_set: RetrievalSet, parameters: EvaluationParameters
) -> pd.DataFrame:
    """Every metric of every judged query."""
    return score_run(run, retrieval_set.qrels, parameters.cutoffs)


def trec_run_writer(model: str) -> Callable[[pd.DataFrame], str]:
    """The node function that puts this model's run into TREC's format."""

    def write_trec_run(run: pd.DataFrame) -> str:
        return format_trec_run(run, model)

    return write_trec_run


def evaluation_summary(
    pairs: Sequence[tuple[str, str]], notes: Sequence[str] = ()
) -> Callable[..., tuple[dict[str, Any], Figure]]:
    """The node function that sums up one table of query metrics for each pair of set and model.

    Sets that are left out are noted under `skipped`.
    """

    def summarise(
        parameters: EvaluationParameters, *query_metrics: pd.DataFrame
    ) -> tuple[dict[str, Any], Figure]:
        summaries: dict[str, Any] = {}
        for (name, model), table in zip(pairs, query_metrics, strict=True):
            summary = summarise_queries(table, parameters.num_resamples, parameters.seed)
            summaries.setdefault(name, {})[model] = summary
        logger.info(
            "Retrieval, in points, [95 %% bootstrap interval]:\n%s",
            format_summaries(summaries, parameters.reported),
        )
        plot = plot_metric_bars(summaries, parameters.reported[0])
        for note in notes:
            logger.warning(note)
        return summaries | ({"skipped": list(notes)} if notes else {}), plot

    return summarise


def _search_depth(parameters: EvaluationParameters) -> int:
    """One document more than is kept, where one may have to be dropped."""
    return parameters.top_k + parameters.drop_identical_ids


def _finish(run: pd.DataFrame, parameters: EvaluationParameters) -> pd.DataFrame:
    """The run that is scored: without identical ids if so asked, `top_k` documents a query."""
    if parameters.drop_identical_ids:
        run = drop_identical_ids(run)
    return run.groupby("query_id", sort=False).head(parameters.top_k).reset_index(drop=True)
