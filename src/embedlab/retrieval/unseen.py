"""Test queries that a model has seen in training, by their text or by their documents."""

from collections.abc import Mapping

import pandas as pd

from embedlab.sources.retrieval_set import RetrievalSet


def seen_queries(retrieval_set: RetrievalSet, *pairs: pd.DataFrame) -> list[str]:
    """The judged queries whose text, or one of whose relevant documents, is in a pair.

    A model can find a document that it was trained on without having learnt to search, and
    validation pairs have chosen its weights. Pairs are tables with the columns query and positive.
    The identifiers of the queries are in the order of the set.
    """
    relevant = retrieval_set.relevant_pairs()
    is_seen = pd.Series(False, index=relevant.index)
    for table in pairs:
        is_seen |= relevant["document"].isin(table["positive"])
        is_seen |= relevant["query"].isin(table["query"])
    return relevant["query_id"][is_seen].drop_duplicates().tolist()


def unseen_tables(
    tables: Mapping[str, Mapping[str, pd.DataFrame]], seen: Mapping[str, list[str]]
) -> dict[str, dict[str, pd.DataFrame]]:
    """The query metrics, by set and model, of the queries that were not seen in training.

    Sets of which every query was seen are left out.
    """
    unseen = {
        name: {
            model: table[~table["query_id"].isin(seen[name])].reset_index(drop=True)
            for model, table in models.items()
        }
        for name, models in tables.items()
    }
    return {name: models for name, models in unseen.items() if all(map(len, models.values()))}
