"""Wiring of the evaluation pipeline."""

from collections.abc import Iterable
from dataclasses import dataclass

from kedro.pipeline import Node, Pipeline

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
from embedlab.retrieval.identical import identical_ids
from embedlab.retrieval.models import BM25, ISOTROPIC

PARAMETERS = "params:evaluation"
SCORES = "query_metrics"


@dataclass(frozen=True)
class EvaluationPlan:
    """The models to evaluate, the sets to evaluate them on, and the reports.

    Attributes:
        models: `bm25`, encoders, `isotropic`.
        baseline: the model that the others are compared with.
        retrieval_sets: the sets to test on.
        stages: stages of the projection's training, each with its pairs.
        has_ablations: whether the entry `isotropic_ablations` is made.
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
        """The models whose examples are shown: the projection, or all if there is none."""
        others = [model for model in self.models if model != self.baseline]
        return [ISOTROPIC] if ISOTROPIC in others else others


def create_pipeline(plan: EvaluationPlan) -> Pipeline:
    """Search, scores and isotropy of each model and set, then the comparison of all models.

    ```
    beir.{set}.… ────────────────┬─ search ─ {model}.{set}.run ─ score ─ {model}.{set}.query_metrics
    {model}.{set}_queries.vectors┤
    {model}.{set}_corpus.vectors ┴─ measure_isotropy ─ {model}.{set}.isotropy, .distances
                  search by vectors ─ {model}.{set}.search
    beir.{set}.… ─ find_identical ─ {set}.identical_ids ─ search
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
    inputs = [*_set_tables(name).values(), f"{PARAMETERS}.drop_identical"]
    nodes.append(Node(identical_ids, inputs, _identical(name), name=f"find_identical_{name}"))
    if plan.trec_runs:
        runs, files = (
            {model: f"{model}.{name}.{kind}" for model in plan.models}
            for kind in ("run", "trec_run")
        )
        nodes.append(Node(write_trec_runs, runs, files, name="write_trec_runs", namespace=name))
    if plan.compared:
        tables = _set_tables(name) | {"parameters": PARAMETERS}
        tables |= _entries([name], [*plan.compared, plan.baseline], "run", SCORES)
        outputs = f"{name}.evaluation_examples"
        nodes.append(Node(find_set_examples, tables, outputs, name="find_examples", namespace=name))
    return nodes


def _one_model(model: str, name: str) -> Pipeline:
    """The nodes of one model on one retrieval set."""
    corpus, queries, qrels = _set_tables(name).values()
    score = Node(score_queries, ["run", qrels, PARAMETERS], SCORES, name="score")
    if model == BM25:
        inputs = [corpus, queries, _identical(name), PARAMETERS]
        nodes = [Node(search_bm25, inputs, "run", name="search"), score]
    else:
        collections = [f"{name}_{part}" for part in ("queries", "corpus")]
        inputs = [f"{model}.{collection}.vectors" for collection in collections]
        measures = ["isotropy", "distances"]
        nodes = [
            Node(
                search_embeddings,
                [*inputs, _identical(name), PARAMETERS],
                ["run", "search"],
                name="search",
            ),
            score,
            Node(measure_isotropy, [*inputs, qrels, PARAMETERS], measures, name="measure_isotropy"),
        ]
    external = {entry for node in nodes for entry in node.inputs} - {"run", PARAMETERS}
    return Pipeline(nodes, namespace=f"{model}.{name}", inputs=external, parameters=PARAMETERS)


def _identical(name: str) -> str:
    """The entry of the ids of the queries that are in a set's corpus."""
    return f"{name}.identical_ids"


def _comparison(plan: EvaluationPlan) -> list[Node]:
    """The nodes that summarise, compare and tabulate the query metrics."""
    metrics = _entries(plan.retrieval_sets, plan.models, SCORES)
    compared = {"parameters": PARAMETERS} | metrics
    tabulated = ["evaluation_metrics", "evaluation_comparison", PARAMETERS]
    tables, comparison = ["evaluation_table", "evaluation_table_csv"], "evaluation_comparison"
    success = {"comparison": comparison}
    success |= {"isotropy_metrics": "isotropy_metrics"} if plan.dense else {}
    success |= {"training": "isotropic_summary"} if ISOTROPIC in plan.models else {}
    success |= {"ablations": "isotropic_ablations"} if plan.has_ablations else {}
    return [
        Node(
            summarise_evaluation,
            {"skipped_sets": "params:skipped_sets"} | compared,
            ["evaluation_metrics", "evaluation_plot"],
            name="summarise_evaluation",
        ),
        Node(compare_query_metrics, compared, comparison, name="compare_query_metrics"),
        Node(tabulate_evaluation, tabulated, tables, name="tabulate_evaluation"),
        Node(evaluate_success, success, "success_criteria", name="evaluate_success"),
    ]


def _isotropy_report(plan: EvaluationPlan) -> list[Node]:
    """The node that reports the isotropy of dense models, if there are any."""
    if not plan.dense:
        return []
    inputs = _entries(plan.retrieval_sets, plan.dense, "isotropy")
    inputs |= _entries(plan.retrieval_sets[:1], plan.dense, "distances")
    figures = [f"isotropy_{figure}_plot" for figure in ("spectrum", "norm", "distance")]
    outputs = ["isotropy_metrics", "isotropy_table", *figures]
    return [Node(report_isotropy, inputs, outputs, name="report_isotropy")]


def _unseen(plan: EvaluationPlan) -> list[Node]:
    """The nodes that compare the projection with the baseline on queries not seen in training."""
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
    inputs |= _entries(plan.retrieval_sets, [ISOTROPIC, plan.baseline], SCORES)
    return [*finders, Node(compare_unseen, inputs, "evaluation_unseen", name="compare_unseen")]


def _set_tables(name: str) -> dict[str, str]:
    """The entries of a retrieval set, by argument."""
    return {table: f"beir.{name}.{table}" for table in ("corpus", "queries", "qrels")}


def _entries(sets: Iterable[str], models: Iterable[str], *kinds: str) -> dict[str, str]:
    """The entries `{model}.{set}.{kind}` as inputs, each an argument of the same name."""
    names = [f"{model}.{name}.{kind}" for name in sets for model in models for kind in kinds]
    return dict(zip(names, names, strict=True))
