"""Which test queries a model has met in training, by their text or by their documents."""

from collections.abc import Mapping

import pandas as pd

from embedlab.sources.retrieval_set import RetrievalSet


def seen_queries(retrieval_set: RetrievalSet, *pairs: pd.DataFrame) -> list[str]:
    """The judged queries whose text, or one of whose relevant documents, is in a pair.

    A model may know such a document by heart, without having learnt to search; and validation pairs
    have chosen its weights.

    Args:
        retrieval_set: the test set.
        pairs: tables with the columns query and positive.

    Returns:
        Their identifiers, in the order of the set.
    """
    relevant = retrieval_set.relevant_pairs()
    known = pd.Series(False, index=relevant.index)
    for table in pairs:
        known |= relevant["document"].isin(table["positive"])
        known |= relevant["query"].isin(table["query"])
    return relevant["query_id"][known].drop_duplicates().tolist()


def unseen_tables(
    tables: Mapping[str, Mapping[str, pd.DataFrame]], seen: Mapping[str, list[str]]
) -> dict[str, dict[str, pd.DataFrame]]:
    """The query metrics, by set and model, of the queries that were not seen in training.

    Sets without such a query are left out.
    """
    unseen = {
        name: {
            model: table[~table["query_id"].isin(seen[name])].reset_index(drop=True)
            for model, table in own.items()
        }
        for name, own in tables.items()
    }
    return {name: own for name, own in unseen.items() if all(map(len, own.values()))}
