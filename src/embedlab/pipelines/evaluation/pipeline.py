"""Wiring of the evaluation pipeline."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from embedlab.pipelines.evaluation.nodes import (
    embedding_search,
    evaluation_summary,
    score_queries,
    search_bm25,
    trec_run_writer,
)

BM25 = "bm25"
PARAMETERS = "params:evaluation"


def create_pipeline(
    encoders: Sequence[str], retrieval_sets: Sequence[str], notes: Sequence[str], trec_runs: bool
) -> Pipeline:
    """One search and one scoring for each model and set, and one summary of them all.

    Args:
        encoders: names of the dense models; BM25 is always there.
        retrieval_sets: names of the sets to test on.
        notes: what is to be said of sets that are left out.
        trec_runs: write TREC run files too.

    ```
    beir.{set} ──────────────┬─ search ─ {model}.{set}.run ─┬─ {model}.{set}.query_metrics
    {encoder}.{set}_queries ─┤                              └─ {model}.{set}.trec_run
    {encoder}.{set}_corpus ──┘
    all query_metrics ─ summarise_evaluation ─ evaluation_metrics, evaluation_plot
    ```
    """
    pairs = [(name, model) for name in retrieval_sets for model in (BM25, *encoders)]
    if not pairs:
        return Pipeline([])
    tables = [f"{model}.{name}.query_metrics" for name, model in pairs]
    summarise = Node(
        evaluation_summary(pairs, notes),
        [PARAMETERS, *tables],
        ["evaluation_metrics", "evaluation_plot"],
        name="summarise_evaluation",
    )
    return Pipeline([summarise, *[_evaluation(model, name, trec_runs) for name, model in pairs]])


def _evaluation(model: str, name: str, trec_runs: bool) -> Pipeline:
    """The template of one model on one retrieval set."""
    inputs = {"retrieval_set": f"beir.{name}"}
    if model == BM25:
        search = search_bm25
    else:
        search = embedding_search(model, name)
        for part in ("queries", "corpus"):
            for kind in ("embeddings", "ids"):
                inputs[f"{part}_{kind}"] = f"{model}.{name}_{part}.{kind}"
        for part in ("queries", "corpus"):
            inputs[f"{part}_metadata"] = f"{model}.{name}_{part}.embeddings_metadata"
    nodes = [
        Node(search, [*inputs, PARAMETERS], "run", name="search"),
        Node(score_queries, ["run", "retrieval_set", PARAMETERS], "query_metrics", name="score"),
    ]
    if trec_runs:
        nodes.append(Node(trec_run_writer(model), "run", "trec_run", name="write_trec_run"))
    return Pipeline(nodes, namespace=f"{model}.{name}", inputs=inputs, parameters=PARAMETERS)
