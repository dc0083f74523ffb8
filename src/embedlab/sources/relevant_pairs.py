"""Problems with solutions from retrieval sets: queries with their relevant documents."""

from typing import Any

import pandas as pd

from embedlab.sources.beir import BeirParameters, load_beir_set


class RelevantPairsParameters(BeirParameters):
    """Which retrieval sets to take queries and relevant documents from.

    Attributes:
        sets: BEIR sets by name.
    """

    sets: tuple[str, ...] = ()


def read_relevant_pairs(p: RelevantPairsParameters) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Every judged query with each of its relevant documents that is not empty.

    Returns:
        Columns id, problem, solution, source, split; and the report of each set.

    Raises:
        InputError: as `load_beir_set` does.
    """
    tables, reports = [], {}
    for name in p.sets:
        found, reports[name] = load_beir_set(name, p)
        relevant = found.relevant_pairs()
        tables.append(
            pd.DataFrame(
                {
                    "id": name + "-" + relevant["query_id"] + "-" + relevant["corpus_id"],
                    "problem": relevant["query"],
                    "solution": relevant["document"],
                    "source": name,
                    "split": p.split,
                }
            )
        )
    return pd.concat(tables, ignore_index=True), reports
