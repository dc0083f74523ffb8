"""Wiring of the data_ingestion pipeline."""

from collections.abc import Callable, Mapping
from typing import Any

from kedro.pipeline import Node, Pipeline

from embedlab.pipelines.data_ingestion.nodes import beir_set_loader, ingest_library_docs
from embedlab.pipelines.data_ingestion.parameters import DataIngestionParameters
from embedlab.sources import library_docs
from embedlab.sources.beir_pairs import read_beir_pairs
from embedlab.sources.documents import read_document_pairs
from embedlab.sources.hh_rlhf import read_preference_pairs
from embedlab.sources.msmarco import read_msmarco
from embedlab.sources.novelty_pairs import make_novelty_pairs
from embedlab.sources.prefixes import unique_prefixes
from embedlab.sources.problem_solution import read_problem_solutions
from embedlab.sources.retrieval_documents import documents_of_pairs

LIBRARY_DOCS = "params:data_ingestion.library_docs"
# Where the test share of pairs made from documents goes.
TEST_SETS = {"retrieval": "beir.documents", "pretraining": "beir.pretraining"}


def create_pipeline(
    parameters: DataIngestionParameters, retrieval_sets: Mapping[str, str]
) -> Pipeline:
    """The nodes of the sources that the parameters choose.

    ```
    library_docs ─┬─ problem_solutions ─ novelty_pairs
    local files ──┼─ preference_pairs ─ prefixes
    Hugging Face ─┼─ {stage}_pairs_train, {stage}_pairs_val ─ {stage}_documents
    BEIR ─────────┴─ beir.{set}
    ```
    """
    nodes = [
        _problem_solutions(parameters.problem_solutions.source),
        _named(
            make_novelty_pairs,
            ["problem_solutions", "params:data_ingestion.novelty_pairs"],
            "novelty_pairs",
        ),
        _preference_pairs(parameters.preference_pairs.source),
        _named(unique_prefixes, "preference_pairs", "prefixes"),
        *_training_pairs("retrieval", parameters.retrieval_pairs.source),
        *[_retrieval_set(*pair) for pair in retrieval_sets.items() if "documents" not in pair],
    ]
    if parameters.pretraining_pairs:
        nodes += _training_pairs("pretraining", parameters.pretraining_pairs.source)
    if any("library_docs" in node.inputs for node in nodes):
        outputs = ["library_docs", "library_docs.ingestion_report"]
        nodes.append(_named(ingest_library_docs, LIBRARY_DOCS, outputs))
    return Pipeline(nodes)


def _named(function: Callable[..., Any], inputs: str | list[str], outputs: str | list[str]) -> Node:
    return Node(function, inputs, outputs, name=function.__name__)


def _problem_solutions(source: str) -> Node:
    if source == "library_docs":
        return _named(library_docs.problem_solutions, "library_docs", "problem_solutions")
    outputs = ["problem_solutions", "problem_solutions.ingestion_report"]
    return _named(read_problem_solutions, "params:data_ingestion.problem_solutions", outputs)


def _preference_pairs(source: str) -> Node:
    if source == "library_docs":
        inputs = ["library_docs", LIBRARY_DOCS]
        return _named(library_docs.preference_pairs, inputs, "preference_pairs")
    outputs = ["preference_pairs", "preference_pairs.ingestion_report"]
    return _named(read_preference_pairs, "params:data_ingestion.preference_pairs", outputs)


def _training_pairs(stage: str, source: str) -> list[Node]:
    """The nodes that make a stage's pairs, and the documents that can be found."""
    name, documents = f"ingest_{stage}_pairs", f"{stage}_documents"
    pairs = [f"{stage}_pairs_train", f"{stage}_pairs_val"]
    collect = Node(documents_of_pairs, pairs, documents, name=f"collect_{documents}")
    if source == "library_docs":
        return [Node(library_docs.retrieval_pairs, "library_docs", pairs, name=name), collect]
    parameters, report = f"params:data_ingestion.{stage}_pairs", f"{stage}_pairs.ingestion_report"
    if source == "beir":
        outputs = [*pairs, documents, report]
        return [Node(read_beir_pairs, parameters, outputs, name=name)]
    if source == "msmarco":
        return [Node(read_msmarco, parameters, [*pairs, report], name=name), collect]
    outputs = [*pairs, TEST_SETS[stage], report]
    return [Node(read_document_pairs, parameters, outputs, name=name), collect]


def _retrieval_set(entry: str, name: str) -> Node:
    """The node that makes the catalog entry `beir.{entry}`."""
    if name == "library_docs":
        return _named(library_docs.retrieval_set, "library_docs", "beir.library_docs")
    outputs = [f"beir.{entry}", f"beir.{entry}.ingestion_report"]
    return Node(
        beir_set_loader(name), "params:data_ingestion.beir", outputs, name=f"load_beir_{entry}"
    )
