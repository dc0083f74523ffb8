"""Wiring of the isotropic_retrieval pipeline."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from embedlab.encoders.collection import document_texts, query_texts
from embedlab.isotropic.parameters import IsotropicTrainingParameters
from embedlab.pipelines.isotropic_retrieval.ablation_nodes import ablation_runner
from embedlab.pipelines.isotropic_retrieval.nodes import (
    export_model,
    list_triples,
    plot_training,
    project_embeddings,
    text_encoder,
    trainer_on_texts,
    trainer_on_vectors,
    triple_miner,
)
from embedlab.pipelines.isotropic_retrieval.parameters import (
    IsotropicRetrievalParameters,
    Stage,
)
from embedlab.retrieval.models import ISOTROPIC

PARAMETERS = "params:isotropic_retrieval"
KINDS = ("embeddings", "ids", "embeddings_metadata")
# What the model of each stage is called, and what is told of its training.
MODELS: dict[Stage, str] = {"pretraining": "isotropic_pretrained", "retrieval": "isotropic"}
PARTS = {"queries": query_texts, "corpus": document_texts}


def create_pipeline(
    parameters: IsotropicRetrievalParameters,
    encoder: str,
    retrieval_sets: Sequence[str],
    exported: bool,
) -> Pipeline:
    """Pre-training if there is one, training, then the vectors of every retrieval set.

    Args:
        parameters: decide which nodes there are.
        encoder: name of the base.
        retrieval_sets: names of the sets to make vectors of.
        exported: whether the base is such that the model can be exported.

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
        previous = f"{MODELS[stage]}_model"
    if exported:
        made = ["isotropic_model", "isotropic_summary", "retrieval_pairs_train"]
        nodes.append(
            Node(
                export_model,
                [*made, f"params:encoders.{encoder}"],
                "isotropic_sentence_transformer",
                name="export_model",
            )
        )
    for name in retrieval_sets:
        nodes += [_vectors(name, part, encoder, parameters.retrieval) for part in PARTS]
    if parameters.ablations.chosen() and retrieval_sets:
        nodes.append(_ablations(encoder, retrieval_sets))
    return Pipeline(nodes)


def _ablations(encoder: str, retrieval_sets: Sequence[str]) -> Node:
    """The node that trains variants, and judges them on every set."""
    inputs = ["retrieval_triples", "retrieval_pairs_val", *_stage_vectors("retrieval", encoder)]
    inputs += ["isotropic_checkpoints", PARAMETERS]
    for name in retrieval_sets:
        inputs.append(f"beir.{name}")
        inputs += [f"{encoder}.{name}_{part}.{kind}" for part in PARTS for kind in KINDS[:2]]
    outputs = ["isotropic_ablations", "isotropic_ablations_table", "isotropic_ablations_latex"]
    return Node(
        ablation_runner(retrieval_sets),
        inputs,
        [*outputs, "isotropic_frontier_plot"],
        name="compare_ablations",
    )


def _stage_vectors(stage: Stage, encoder: str) -> list[str]:
    """The entries of the base's vectors of the stage's queries and documents."""
    collections = [f"{encoder}.{stage}_{part}" for part in ("queries", "documents")]
    return [f"{collection}.{kind}" for collection in collections for kind in KINDS]


def _stage(
    stage: Stage, training: IsotropicTrainingParameters, encoder: str, previous: str | None
) -> list[Node]:
    """The nodes of one training."""
    pairs = [f"{stage}_pairs_train", f"{stage}_pairs_val", f"{stage}_documents"]
    vectors = [
        f"{encoder}.{stage}_{part}.{kind}" for part in ("queries", "documents") for kind in KINDS
    ]
    triples, name = f"{stage}_triples", MODELS[stage]
    start = [] if previous is None else [previous]
    end = ["isotropic_checkpoints", PARAMETERS, *start]
    if training.needs_vectors:
        mine, read = triple_miner(stage, encoder), [*pairs, *vectors, PARAMETERS]
    else:
        mine, read = list_triples, pairs
    if training.freeze_base:
        train, inputs = trainer_on_vectors(stage), [triples, pairs[1], *vectors, *end]
    else:
        train = trainer_on_texts(stage)
        inputs = [triples, *pairs, f"params:encoders.{encoder}", *end]
    outputs = [f"{name}_{kind}" for kind in ("model", "history", "summary")]
    return [
        Node(mine, read, triples, name=f"make_{triples}"),
        Node(train, inputs, outputs, name=f"train_{name}"),
        Node(plot_training, outputs[1], f"{name}_training_plot", name=f"plot_{name}_training"),
    ]


def _vectors(
    retrieval_set: str, part: str, encoder: str, training: IsotropicTrainingParameters
) -> Node:
    """The node that makes one collection's vectors by the trained model."""
    collection = f"{retrieval_set}_{part}"
    outputs = [f"{ISOTROPIC}.{collection}.{kind}" for kind in KINDS]
    namespace = f"{ISOTROPIC}.{collection}"
    if training.freeze_base:
        vectors = [f"{encoder}.{collection}.{kind}" for kind in KINDS]
        inputs = ["isotropic_model", *vectors]
        return Node(project_embeddings, inputs, outputs, name="project", namespace=namespace)
    inputs = ["isotropic_sentence_transformer", f"beir.{retrieval_set}"]
    return Node(text_encoder(PARTS[part]), inputs, outputs, name="encode", namespace=namespace)
