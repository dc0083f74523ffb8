"""The text format in which retrieval systems exchange their results."""

import pandas as pd

from embedlab.errors import InputError


def format_trec_run(run: pd.DataFrame, tag: str) -> str:
    """One line a result: `query_id Q0 corpus_id rank score tag`, ranks counted from 1.

    Scores are written in full, so that trec_eval ranks them as they are ranked here.

    Args:
        run: columns query_id, corpus_id, score, the best document of each query first.
        tag: name of the system.

    Raises:
        InputError: if an id has white space, which separates the fields.
    """
    for name in ("query_id", "corpus_id"):
        broken = run[name].str.contains(r"\s|^$")
        if broken.any():
            first = run[name][broken].iloc[0]
            raise InputError(
                f"{name} {first!r} has white space, so it cannot stand in a TREC run file: "
                "rename it, or set evaluation.trec_runs to false"
            )
    ranks = run.groupby("query_id").cumcount() + 1
    fields = zip(run["query_id"], run["corpus_id"], ranks, run["score"].tolist(), strict=True)
    return "".join(
        f"{query} Q0 {document} {rank} {score!r} {tag}\n" for query, document, rank, score in fields
    )
