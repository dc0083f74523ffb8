"""Nodes of the data_ingestion pipeline that are more than one source function."""

from typing import Any

import pandas as pd

from embedlab.sources import library_docs
from embedlab.sources.beir import BeirParameters, load_beir_set
from embedlab.sources.docstrings import extract_docs
from embedlab.sources.documents import DocumentPairsParameters, read_document_pairs
from embedlab.sources.retrieval_set import RetrievalSet

# Documents, queries and judgements of a retrieval set.
SetTables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def ingest_library_docs(
    parameters: library_docs.LibraryDocsParameters,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A seeded sample of the installed libraries' documentation, and how it was drawn."""
    return library_docs.sample_docs(extract_docs(parameters.libraries), parameters)


def make_library_docs_set(docs: pd.DataFrame) -> SetTables:
    """The retrieval set of the libraries that training never sees."""
    return _tables(library_docs.retrieval_set(docs))


def ingest_document_pairs(
    parameters: DocumentPairsParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, *SetTables, dict[str, Any]]:
    """Training and validation pairs, the retrieval set of the test share, and the report."""
    train, validation, test, report = read_document_pairs(parameters)
    return train, validation, *_tables(test), report


def ingest_beir_set(parameters: BeirParameters, name: str) -> tuple[*SetTables, dict[str, Any]]:
    """The retrieval set of this name, and the report of its reading."""
    found, report = load_beir_set(name, parameters)
    return *_tables(found), report


def _tables(retrieval_set: RetrievalSet) -> SetTables:
    return retrieval_set.corpus, retrieval_set.queries, retrieval_set.qrels
