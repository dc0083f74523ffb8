"""Nodes of the data_ingestion pipeline that do more than call one source function."""

from typing import Any

import pandas as pd
import pyarrow as pa

from embedlab.sources import library_docs
from embedlab.sources.beir import BeirParameters, load_beir_set
from embedlab.sources.docstrings import extract_docs
from embedlab.sources.documents import DocumentPairsParameters, read_document_pairs
from embedlab.sources.retrieval_set import RetrievalSet

# Documents, queries and judgements of a retrieval set.
SetTables = tuple[pa.Table, pd.DataFrame, pd.DataFrame]


def ingest_library_docs(
    parameters: library_docs.LibraryDocsParameters,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Sample the documentation of installed libraries; report how the sample was drawn."""
    return library_docs.sample_docs(extract_docs(parameters.libraries), parameters)


def make_library_docs_set(docs: pd.DataFrame) -> SetTables:
    """Make a retrieval set of the libraries that are held out from training."""
    return _tables(library_docs.retrieval_set(docs))


def ingest_document_pairs(
    parameters: DocumentPairsParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, *SetTables, dict[str, Any]]:
    """Read documents as training and validation pairs and a test set; report what was read."""
    train, validation, test, report = read_document_pairs(parameters)
    return train, validation, *_tables(test), report


def ingest_beir_set(parameters: BeirParameters, name: str) -> tuple[*SetTables, dict[str, Any]]:
    """Read the retrieval set of this name; report what was read."""
    found, report = load_beir_set(name, parameters)
    return *_tables(found), report


def _tables(retrieval_set: RetrievalSet) -> SetTables:
    return retrieval_set.corpus, retrieval_set.queries, retrieval_set.qrels
