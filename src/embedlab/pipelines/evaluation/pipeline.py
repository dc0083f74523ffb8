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
from embedlab.pipelines.evaluation.parameters import EvaluationParameters
from embedlab.pipelines.evaluation.report_nodes import (
    example_finder,
    isotropy_measurer,
    isotropy_reporter,
    judge_success,
    model_comparer,
    tabulate_evaluation,
    unseen_comparer,
)
from embedlab.retrieval.models import BM25, ISOTROPIC
from embedlab.retrieval.unseen import seen_queries

PARAMETERS = "params:evaluation"
ISOTROPY_REPORT = [
    "isotropy_metrics",
    "isotropy_table",
    "isotropy_spectrum_plot",
    "isotropy_norm_plot",
    "isotropy_distance_plot",
]

# A set and a model.
Pair = tuple[str, str]


def create_pipeline(
    models: Sequence[str],
    baseline: str,
    retrieval_sets: Sequence[str],
    notes: Sequence[str],
    parameters: EvaluationParameters,
    ablations: bool = False,
    stages: Sequence[str] = ("retrieval",),
) -> Pipeline:
    """One search and one scoring for each model and set, then what compares them all.

    Args:
        models: names of the models: `bm25`, encoders, `isotropic`.
        baseline: the one of them that the others are compared with.
        retrieval_sets: names of the sets to test on.
        notes: what is to be said of sets that are left out.
        parameters: says whether TREC run files are written.
        ablations: whether there is a study of ablations, `isotropic_ablations`.
        stages: those in which the projection is trained, each with its pairs.

    ```
    beir.{set} ────────────┬─ search ─ {model}.{set}.run ─ score ─ {model}.{set}.query_metrics
    {model}.{set}_queries ─┤
    {model}.{set}_corpus ──┴─ measure_isotropy ─ {model}.{set}.isotropy, .distances
    all query_metrics ─┬─ summarise_evaluation ─ evaluation_metrics, evaluation_plot ─┬─ tables
                       └─ compare_models ─ evaluation_comparison ─────────────────────┘
    all isotropy ─ report_isotropy ─ isotropy_metrics, isotropy_table, figures
    beir.{set}, {stage}_pairs_… ─ find_seen ─ compare_unseen ─ evaluation_unseen
    comparison, isotropy_metrics ─ judge_success ─ success_criteria
    ```
    """
    pairs = [(name, model) for name in retrieval_sets for model in models]
    if not pairs:
        return Pipeline([])
    dense = [(name, model) for name, model in pairs if model != BM25]
    parts = [_evaluation(model, name, parameters.trec_runs) for name, model in pairs]
    parts += [_isotropy(model, name) for name, model in dense]
    others = [model for model in models if model != baseline]
    # The projection is what a paper is about; without it, every other model is looked at.
    shown = [ISOTROPIC] if ISOTROPIC in others else others
    examples = [_examples(name, shown, baseline) for name in retrieval_sets if shown]
    reports = [*_comparison(pairs, baseline, notes), *examples, *_isotropy_report(dense)]
    if ISOTROPIC in others:
        reports += _unseen(retrieval_sets, baseline, stages)
    return Pipeline([*parts, *reports, _success(models, bool(dense), ablations)])


def _evaluation(model: str, name: str, trec_runs: bool) -> Pipeline:
    """The template of one model on one retrieval set."""
    inputs = {"retrieval_set": f"beir.{name}"}
    if model == BM25:
        search = search_bm25
    else:
        search = embedding_search(model, name)
        inputs |= _vectors(model, name)
    nodes = [
        Node(search, [*inputs, PARAMETERS], "run", name="search"),
        Node(score_queries, ["run", "retrieval_set", PARAMETERS], "query_metrics", name="score"),
    ]
    if trec_runs:
        nodes.append(Node(trec_run_writer(model), "run", "trec_run", name="write_trec_run"))
    return Pipeline(nodes, namespace=f"{model}.{name}", inputs=inputs, parameters=PARAMETERS)


def _vectors(model: str, name: str) -> dict[str, str]:
    """What there is of a model's vectors of a set, by their names in a template."""
    parts, kinds = ("queries", "corpus"), ("embeddings", "ids")
    collections = {part: f"{model}.{name}_{part}" for part in parts}
    vectors = {f"{part}_{kind}": f"{collections[part]}.{kind}" for part in parts for kind in kinds}
    return vectors | {
        f"{part}_metadata": f"{collections[part]}.embeddings_metadata" for part in parts
    }


def _isotropy(model: str, name: str) -> Pipeline:
    """The template of what the vectors of one model on one set are like."""
    inputs = {"retrieval_set": f"beir.{name}"} | _vectors(model, name)
    node = Node(
        isotropy_measurer(model, name),
        [*inputs, PARAMETERS],
        ["isotropy", "distances"],
        name="measure_isotropy",
    )
    return Pipeline([node], namespace=f"{model}.{name}", inputs=inputs, parameters=PARAMETERS)


def _comparison(pairs: Sequence[Pair], baseline: str, notes: Sequence[str]) -> list[Node]:
    """The nodes that sum up, compare and tabulate the query metrics."""
    tables = [f"{model}.{name}.query_metrics" for name, model in pairs]
    return [
        Node(
            evaluation_summary(pairs, notes),
            [PARAMETERS, *tables],
            ["evaluation_metrics", "evaluation_plot"],
            name="summarise_evaluation",
        ),
        Node(
            model_comparer(pairs, baseline),
            [PARAMETERS, *tables],
            "evaluation_comparison",
            name="compare_models",
        ),
        Node(
            tabulate_evaluation,
            ["evaluation_metrics", "evaluation_comparison", PARAMETERS],
            ["evaluation_table", "evaluation_table_csv"],
            name="tabulate_evaluation",
        ),
    ]


def _unseen(retrieval_sets: Sequence[str], baseline: str, stages: Sequence[str]) -> list[Node]:
    """The nodes that compare the projection with its base on what training has not seen."""
    pairs = [(name, model) for name in retrieval_sets for model in (ISOTROPIC, baseline)]
    training_pairs = [f"{stage}_pairs_{split}" for stage in stages for split in ("train", "val")]
    seen = [f"{name}.seen_queries" for name in retrieval_sets]
    finders = [
        Node(
            seen_queries,
            [f"beir.{name}", *training_pairs],
            f"{name}.seen_queries",
            name="find_seen_queries",
            namespace=name,
        )
        for name in retrieval_sets
    ]
    tables = [f"{model}.{name}.query_metrics" for name, model in pairs]
    inputs = [PARAMETERS, *seen, *tables]
    compare = unseen_comparer(pairs, baseline)
    return [*finders, Node(compare, inputs, "evaluation_unseen", name="compare_unseen")]


def _examples(name: str, models: Sequence[str], baseline: str) -> Node:
    """The node that finds examples on one set."""
    tables = [
        f"{model}.{name}.{kind}"
        for model in (*models, baseline)
        for kind in ("run", "query_metrics")
    ]
    return Node(
        example_finder(models, baseline),
        [f"beir.{name}", PARAMETERS, *tables],
        f"{name}.evaluation_examples",
        name="find_examples",
        namespace=name,
    )


def _isotropy_report(pairs: Sequence[Pair]) -> list[Node]:
    """The node that puts the isotropy of dense models together, if there are any."""
    if not pairs:
        return []
    measures = [f"{model}.{name}.isotropy" for name, model in pairs]
    distances = [f"{model}.{name}.distances" for name, model in pairs if name == pairs[0][0]]
    inputs = [*measures, *distances]
    return [Node(isotropy_reporter(pairs), inputs, ISOTROPY_REPORT, name="report_isotropy")]


def _success(models: Sequence[str], dense: bool, ablations: bool) -> Node:
    """The node that holds what there is against the criteria."""
    inputs = {"comparison": "evaluation_comparison"}
    if dense:
        inputs["isotropy_metrics"] = "isotropy_metrics"
    if ISOTROPIC in models:
        inputs["training"] = "isotropic_summary"
    if ablations:
        inputs["ablations"] = "isotropic_ablations"
    return Node(judge_success, inputs, "success_criteria", name="judge_success")
