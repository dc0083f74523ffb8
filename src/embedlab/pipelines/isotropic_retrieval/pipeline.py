"""Wiring of the isotropic_retrieval pipeline."""

from collections.abc import Callable, Sequence
from typing import Any

from kedro.pipeline import Node, Pipeline

from embedlab.isotropic.parameters import IsotropicTrainingParameters
from embedlab.pipelines.isotropic_retrieval.ablation_nodes import compare_ablations
from embedlab.pipelines.isotropic_retrieval.nodes import (
    encode_corpus,
    encode_queries,
    export_model,
    list_triples,
    mine_triples,
    plot_training,
    project_embeddings,
    train_encoder,
    train_projection,
)
from embedlab.pipelines.isotropic_retrieval.parameters import IsotropicRetrievalParameters, Stage
from embedlab.retrieval.identical import identical_ids
from embedlab.retrieval.models import ISOTROPIC

PARAMETERS = "params:isotropic_retrieval"
PARTS = "params:parts.isotropic_retrieval"
# Prefix of a stage's catalog entries: {prefix}_model, {prefix}_history, {prefix}_summary.
PREFIXES: dict[Stage, str] = {"pretraining": "isotropic_pretrained", "retrieval": "isotropic"}
ENCODE = {"queries": encode_queries, "corpus": encode_corpus}


def create_pipeline(
    parameters: IsotropicRetrievalParameters,
    encoder: str,
    retrieval_sets: Sequence[str],
    exported: bool,
) -> Pipeline:
    """Pre-training if configured, training, then the vectors of every retrieval set.

    Args:
        parameters: determine the stages and variants.
        encoder: name of the base.
        retrieval_sets: names of the sets to embed.
        exported: whether sentence-transformers can load the base, and so the exported model.

    ```
    {stage}_pairs_…, {stage}_documents ─┬─ triples ─┬─ train ─ isotropic_model ─┬─ export
    {encoder}.{stage}_queries/documents ┘           │          isotropic_history│
    isotropic_checkpoints, grow meanwhile ──────────┘                           │
    {encoder}.{set}_queries/corpus ─┬─────────────────── project ─ isotropic.{set}_…
    retrieval_triples, beir.{set} ──┴─ compare_ablations ─ isotropic_ablations, frontier
    ```
    """
    nodes: list[Node] = []
    previous = None
    for stage, training in parameters.trainings().items():
        nodes += _stage(stage, training, encoder, previous)
        previous = f"{PREFIXES[stage]}_model"
    if exported:
        inputs = ["isotropic_model", "isotropic_summary", "retrieval_pairs_train"]
        inputs.append(f"params:encoders.{encoder}")
        outputs = "isotropic_sentence_transformer"
        nodes.append(Node(export_model, inputs, outputs, name="export_model"))
    for name in retrieval_sets:
        nodes += [_vectors(name, part, encoder, parameters.retrieval) for part in ENCODE]
    if parameters.ablations.chosen() and retrieval_sets:
        nodes += [*map(_identical, retrieval_sets), _ablations(encoder, retrieval_sets)]
    return Pipeline(nodes)


def _ablations(encoder: str, retrieval_sets: Sequence[str]) -> Node:
    """The node that trains variants and evaluates them on every set."""
    inputs = {
        "triples": "retrieval_triples",
        "validation": "retrieval_pairs_val",
        "query_embeddings": f"{encoder}.retrieval_queries.vectors",
        "document_embeddings": f"{encoder}.retrieval_documents.vectors",
        "checkpoints": "isotropic_checkpoints",
        "parameters": f"{PARTS}.ablations",
    }
    for name in retrieval_sets:
        inputs |= {f"{name}.{part}": f"{encoder}.{name}_{part}.vectors" for part in ENCODE}
        inputs[f"{name}.qrels"] = f"beir.{name}.qrels"
        inputs[f"{name}.identical"] = f"{name}.identical_ids"
    outputs = ["isotropic_ablations", "isotropic_ablations_table", "isotropic_ablations_latex"]
    outputs.append("isotropic_frontier_plot")
    return Node(compare_ablations, inputs, outputs, name="compare_ablations")


def _identical(name: str) -> Node:
    """The node of evaluation, which a joint run has once, that finds queries in the corpus."""
    inputs = [f"beir.{name}.{table}" for table in ("corpus", "queries", "qrels")]
    inputs.append("params:evaluation.drop_identical")
    return Node(identical_ids, inputs, f"{name}.identical_ids", name=f"find_identical_{name}")


def _stage(
    stage: Stage, training: IsotropicTrainingParameters, encoder: str, previous: str | None
) -> list[Node]:
    """The nodes of one training."""
    pairs = [f"{stage}_pairs_train", f"{stage}_pairs_val", f"{stage}_documents"]
    vectors = [f"{encoder}.{stage}_{part}.vectors" for part in ("queries", "documents")]
    triples, name = f"{stage}_triples", PREFIXES[stage]
    start = [] if previous is None else [previous]
    end = ["isotropic_checkpoints", PARAMETERS, *start]
    make: Callable[..., Any]
    train: Callable[..., Any]
    if training.needs_vectors:
        negatives = f"{PARTS}.{stage}.hard_negatives"
        make, read = mine_triples, [*pairs[:2], *vectors, negatives]
    else:
        make, read = list_triples, pairs
    if training.freeze_base:
        train, inputs = train_projection, [triples, pairs[1], *vectors, *end]
    else:
        train, inputs = train_encoder, [triples, *pairs, f"params:encoders.{encoder}", *end]
    outputs = [f"{name}_{kind}" for kind in ("model", "history", "summary")]
    return [
        Node(make, read, triples, name=f"make_{triples}"),
        Node(train, inputs, outputs, name=f"train_{name}"),
        Node(plot_training, outputs[1], f"{name}_training_plot", name=f"plot_{name}_training"),
    ]


def _vectors(
    retrieval_set: str, part: str, encoder: str, training: IsotropicTrainingParameters
) -> Node:
    """The node that embeds one collection by the trained model."""
    collection = f"{retrieval_set}_{part}"
    namespace = f"{ISOTROPIC}.{collection}"
    vectors = f"{namespace}.vectors"
    if training.freeze_base:
        inputs = ["isotropic_model", f"{encoder}.{collection}.vectors"]
        return Node(project_embeddings, inputs, vectors, name="project", namespace=namespace)
    inputs = ["isotropic_sentence_transformer", f"beir.{retrieval_set}.{part}"]
    return Node(ENCODE[part], inputs, vectors, name="encode", namespace=namespace)
