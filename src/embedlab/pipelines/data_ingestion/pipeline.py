"""Wiring of the data_ingestion pipeline."""

from collections.abc import Iterable

from kedro.pipeline import Node, Pipeline

from embedlab.pipelines.data_ingestion.nodes import (
    ingest_beir_set,
    ingest_document_pairs,
    ingest_library_docs,
    make_library_docs_set,
)
from embedlab.pipelines.data_ingestion.parameters import (
    TEST_SETS,
    DataIngestionParameters,
    catalog_name,
)
from embedlab.sources import library_docs
from embedlab.sources.beir_pairs import read_beir_pairs
from embedlab.sources.hh_rlhf import read_preference_pairs
from embedlab.sources.msmarco import read_msmarco
from embedlab.sources.novelty_pairs import make_novelty_pairs
from embedlab.sources.prefixes import unique_prefixes
from embedlab.sources.problem_solution import read_problem_solutions
from embedlab.sources.retrieval_documents import documents_of_pairs

LIBRARY_DOCS = "params:data_ingestion.library_docs"
# By stage, the entries of the retrieval set of its test split.
TEST_ENTRIES = {stage: catalog_name(name) for stage, name in TEST_SETS.items()}


def create_pipeline(parameters: DataIngestionParameters, retrieval_sets: Iterable[str]) -> Pipeline:
    """The nodes that read the sources given by the parameters.

    ```
    library_docs ─┬─ problem_solutions ─ novelty_pairs
    local files ──┼─ preference_pairs ─ prefixes
    Hugging Face ─┼─ {stage}_pairs_train, {stage}_pairs_val ─ {stage}_documents
    BEIR ─────────┴─ beir.{set}.corpus, .queries, .qrels
    ```
    """
    novelty = ["problem_solutions", "params:data_ingestion.novelty_pairs"]
    nodes = [
        _problem_solutions(parameters.problem_solutions.source),
        Node(make_novelty_pairs, novelty, "novelty_pairs", name="make_novelty_pairs"),
        _preference_pairs(parameters.preference_pairs.source),
        Node(unique_prefixes, "preference_pairs", "prefixes", name="collect_prefixes"),
        *_training_pairs("retrieval", parameters.retrieval_pairs.source),
        *[_retrieval_set(name) for name in retrieval_sets if name not in TEST_ENTRIES.values()],
    ]
    if parameters.pretraining_pairs:
        nodes += _training_pairs("pretraining", parameters.pretraining_pairs.source)
    if any("library_docs" in node.inputs for node in nodes):
        outputs = ["library_docs", "library_docs.ingestion_report"]
        nodes.append(Node(ingest_library_docs, LIBRARY_DOCS, outputs, name="ingest_library_docs"))
    return Pipeline(nodes)


def set_tables(name: str) -> list[str]:
    """The entries of a retrieval set."""
    return [f"beir.{name}.{table}" for table in ("corpus", "queries", "qrels")]


def _problem_solutions(source: str) -> Node:
    name = "ingest_problem_solutions"
    if source == "library_docs":
        return Node(library_docs.problem_solutions, "library_docs", "problem_solutions", name=name)
    outputs = ["problem_solutions", "problem_solutions.ingestion_report"]
    parameters = "params:data_ingestion.problem_solutions"
    return Node(read_problem_solutions, parameters, outputs, name=name)


def _preference_pairs(source: str) -> Node:
    name = "ingest_preference_pairs"
    if source == "library_docs":
        inputs = ["library_docs", LIBRARY_DOCS]
        return Node(library_docs.preference_pairs, inputs, "preference_pairs", name=name)
    outputs = ["preference_pairs", "preference_pairs.ingestion_report"]
    parameters = "params:data_ingestion.preference_pairs"
    return Node(read_preference_pairs, parameters, outputs, name=name)


def _training_pairs(stage: str, source: str) -> list[Node]:
    """The nodes that make a stage's pairs, and the documents to search."""
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
    outputs = [*pairs, *set_tables(TEST_ENTRIES[stage]), report]
    return [Node(ingest_document_pairs, parameters, outputs, name=name), collect]


def _retrieval_set(name: str) -> Node:
    """The node that makes the entries of a retrieval set."""
    if name == "library_docs":
        outputs = set_tables(name)
        return Node(make_library_docs_set, "library_docs", outputs, name="make_library_docs_set")
    inputs = ["params:data_ingestion.beir", f"params:retrieval_sets.{name}"]
    outputs = [*set_tables(name), f"beir.{name}.ingestion_report"]
    return Node(ingest_beir_set, inputs, outputs, name=f"ingest_beir_{name}")
