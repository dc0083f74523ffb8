"""Nodes of the data_ingestion pipeline that are more than one source function."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from embedlab.sources.beir import BeirParameters, load_beir_set
from embedlab.sources.docstrings import extract_docs
from embedlab.sources.library_docs import LibraryDocsParameters, sample_docs
from embedlab.sources.retrieval_set import RetrievalSet


def ingest_library_docs(parameters: LibraryDocsParameters) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A seeded sample of the installed libraries' documentation, and how it was drawn."""
    return sample_docs(extract_docs(parameters.libraries), parameters)


def beir_set_loader(name: str) -> Callable[[BeirParameters], tuple[RetrievalSet, dict[str, Any]]]:
    """The node function that loads the BEIR set of this name."""

    def load(parameters: BeirParameters) -> tuple[RetrievalSet, dict[str, Any]]:
        return load_beir_set(name, parameters)

    return load
