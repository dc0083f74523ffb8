"""Wiring of the evaluation pipeline."""

from collections.abc import Iterable
from dataclasses import dataclass

from kedro.pipeline import Node, Pipeline

from embedlab.pipelines.embedding_cache.pipeline import set_views
from embedlab.pipelines.evaluation.nodes import (
    measure_isotropy,
    score_queries,
    search_bm25,
    search_embeddings,
    write_trec_runs,
)
from embedlab.pipelines.evaluation.report_nodes import (
    compare_query_metrics,
    compare_unseen,
    evaluate_success,
    find_seen_queries,
    find_set_examples,
    report_isotropy,
    summarise_evaluation,
    tabulate_evaluation,
)
from embedlab.retrieval.models import BM25, ISOTROPIC

PARAMETERS = "params:evaluation"
SCORES = "query_metrics"


@dataclass(frozen=True)
class EvaluationPlan:
    """Which models are evaluated on which sets, and what is reported of them.

    Attributes:
        models: `bm25`, encoders, `isotropic`.
        baseline: the one of them that the others are compared with.
        retrieval_sets: the sets to test on.
        stages: those in which the projection is trained, each with its pairs.
        has_ablations: whether there is a study of ablations, `isotropic_ablations`.
        trec_runs: whether TREC run files are written.
    """

    models: tuple[str, ...]
    baseline: str
    retrieval_sets: tuple[str, ...]
    stages: tuple[str, ...] = ("retrieval",)
    has_ablations: bool = False
    trec_runs: bool = False

    @property
    def dense(self) -> list[str]:
        """The models that have vectors."""
        return [model for model in self.models if model != BM25]

    @property
    def compared(self) -> list[str]:
        """The models of which examples are shown: the projection if it is there, else all."""
        others = [model for model in self.models if model != self.baseline]
        return [ISOTROPIC] if ISOTROPIC in others else others

    def entries(self, models: Iterable[str], *kinds: str) -> dict[str, str]:
        """The entries `{model}.{set}.{kind}` of all sets, as inputs by their own names."""
        return _entries(self.retrieval_sets, models, kinds)


def create_pipeline(plan: EvaluationPlan) -> Pipeline:
    """One search and one scoring for each model and set, then what compares them all.

    ```
    beir.{set}.… ────────────────┬─ search ─ {model}.{set}.run ─ score ─ {model}.{set}.query_metrics
    {model}.{set}_queries.vectors┤
    {model}.{set}_corpus.vectors ┴─ measure_isotropy ─ {model}.{set}.isotropy, .distances
    all query_metrics ─┬─ summarise_evaluation ─ evaluation_metrics, evaluation_plot ─┬─ tables
                       └─ compare_query_metrics ─ evaluation_comparison ──────────────┘
    all isotropy ─ report_isotropy ─ isotropy_metrics, isotropy_table, figures
    beir.{set}.…, {stage}_pairs_… ─ find_seen_queries ─ compare_unseen ─ evaluation_unseen
    evaluation_comparison, isotropy_metrics ─ evaluate_success ─ success_criteria
    ```
    """
    if not plan.retrieval_sets:
        return Pipeline([])
    nodes = [node for name in plan.retrieval_sets for node in _one_set(name, plan)]
    return Pipeline([*nodes, *_comparison(plan), *_isotropy_report(plan), *_unseen(plan)])


def _one_set(name: str, plan: EvaluationPlan) -> list[Node]:
    """The nodes that search, score and measure on one retrieval set."""
    nodes = [node for model in plan.models for node in _one_model(model, name).nodes]
    nodes += set_views(name) if plan.dense else []
    if plan.trec_runs:
        runs, files = (
            {model: f"{model}.{name}.{kind}" for model in plan.models}
            for kind in ("run", "trec_run")
        )
        nodes.append(Node(write_trec_runs, runs, files, name="write_trec_runs", namespace=name))
    if plan.compared:
        inputs = _set_tables(name) | {"parameters": PARAMETERS}
        inputs |= _entries([name], [*plan.compared, plan.baseline], ("run", SCORES))
        outputs = f"{name}.evaluation_examples"
        nodes.append(Node(find_set_examples, inputs, outputs, name="find_examples", namespace=name))
    return nodes


def _one_model(model: str, name: str) -> Pipeline:
    """The nodes of one model on one retrieval set."""
    corpus, queries, qrels = (f"beir.{name}.{table}" for table in ("corpus", "queries", "qrels"))
    score = Node(score_queries, ["run", qrels, PARAMETERS], SCORES, name="score")
    if model == BM25:
        nodes = [Node(search_bm25, [corpus, queries, PARAMETERS], "run", name="search"), score]
    else:
        parts = [f"{name}_{part}" for part in ("queries", "corpus")]
        inputs = [f"{model}.{part}.vectors" for part in parts]
        inputs += [f"{part}.texts" for part in parts]
        measures = ["isotropy", "distances"]
        nodes = [
            Node(search_embeddings, [*inputs, PARAMETERS], "run", name="search"),
            score,
            Node(measure_isotropy, [*inputs, qrels, PARAMETERS], measures, name="measure_isotropy"),
        ]
    external = {entry for node in nodes for entry in node.inputs} - {"run", PARAMETERS}
    return Pipeline(nodes, namespace=f"{model}.{name}", inputs=external, parameters=PARAMETERS)


def _comparison(plan: EvaluationPlan) -> list[Node]:
    """The nodes that summarise, compare and tabulate the query metrics."""
    metrics = plan.entries(plan.models, SCORES)
    success = {"comparison": "evaluation_comparison"}
    success |= {"isotropy_metrics": "isotropy_metrics"} if plan.dense else {}
    success |= {"training": "isotropic_summary"} if ISOTROPIC in plan.models else {}
    success |= {"ablations": "isotropic_ablations"} if plan.has_ablations else {}
    return [
        Node(
            summarise_evaluation,
            {"parameters": PARAMETERS, "skipped_sets": "params:skipped_sets"} | metrics,
            ["evaluation_metrics", "evaluation_plot"],
            name="summarise_evaluation",
        ),
        Node(
            compare_query_metrics,
            {"parameters": PARAMETERS} | metrics,
            "evaluation_comparison",
            name="compare_query_metrics",
        ),
        Node(
            tabulate_evaluation,
            ["evaluation_metrics", "evaluation_comparison", PARAMETERS],
            ["evaluation_table", "evaluation_table_csv"],
            name="tabulate_evaluation",
        ),
        Node(evaluate_success, success, "success_criteria", name="evaluate_success"),
    ]


def _isotropy_report(plan: EvaluationPlan) -> list[Node]:
    """The node that reports on the isotropy of dense models, if there are any."""
    if not plan.dense:
        return []
    inputs = plan.entries(plan.dense, "isotropy")
    inputs |= _entries(plan.retrieval_sets[:1], plan.dense, ("distances",))
    figures = [f"isotropy_{figure}_plot" for figure in ("spectrum", "norm", "distance")]
    outputs = ["isotropy_metrics", "isotropy_table", *figures]
    return [Node(report_isotropy, inputs, outputs, name="report_isotropy")]


def _unseen(plan: EvaluationPlan) -> list[Node]:
    """The nodes that compare the projection with the baseline on what training has not seen."""
    if ISOTROPIC not in plan.compared:
        return []
    pairs = [f"{stage}_pairs_{split}" for stage in plan.stages for split in ("train", "val")]
    seen = {name: f"{name}.seen_queries" for name in plan.retrieval_sets}
    finders = [
        Node(
            find_seen_queries,
            _set_tables(name) | {entry: entry for entry in pairs},
            entry,
            name="find_seen_queries",
            namespace=name,
        )
        for name, entry in seen.items()
    ]
    inputs = {"parameters": PARAMETERS} | {entry: entry for entry in seen.values()}
    inputs |= plan.entries([ISOTROPIC, plan.baseline], SCORES)
    return [*finders, Node(compare_unseen, inputs, "evaluation_unseen", name="compare_unseen")]


def _set_tables(name: str) -> dict[str, str]:
    """The entries of a retrieval set by the arguments that take them."""
    return {table: f"beir.{name}.{table}" for table in ("corpus", "queries", "qrels")}


def _entries(sets: Iterable[str], models: Iterable[str], kinds: Iterable[str]) -> dict[str, str]:
    names = [f"{model}.{name}.{kind}" for name in sets for model in models for kind in kinds]
    return dict(zip(names, names, strict=True))
