"""TREC run files, the text format in which retrieval systems exchange their results."""

import pandas as pd

from embedlab.errors import InputError


def format_trec_run(run: pd.DataFrame, tag: str) -> str:
    r"""Format one line per result: `query_id Q0 corpus_id rank score tag`, ranks from 1.

    Scores are not rounded, so trec_eval ranks the documents in the same order.

    The run has the best document of each query first; the tag is the name of the system.

    Raises:
        InputError: if an id is empty or contains white space, which separates the fields.

    Example:
        >>> run = pd.DataFrame({"query_id": ["q"], "corpus_id": ["d"], "score": [0.5]})
        >>> format_trec_run(run, "bm25")
        'q Q0 d 1 0.5 bm25\n'
    """
    for name in ("query_id", "corpus_id"):
        broken = run[name].str.contains(r"\s|^$")
        if broken.any():
            raise InputError(
                f"{name} {run[name][broken].iloc[0]!r} is empty or has white space, which a TREC "
                "run file cannot contain: rename it, or set evaluation.trec_runs to false"
            )
    ranks = run.groupby("query_id").cumcount() + 1
    fields = zip(run["query_id"], run["corpus_id"], ranks, run["score"].tolist(), strict=True)
    return "".join(
        f"{query} Q0 {document} {rank} {score!r} {tag}\n" for query, document, rank, score in fields
    )
