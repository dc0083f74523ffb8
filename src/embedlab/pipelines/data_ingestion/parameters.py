"""Parameters of the data_ingestion pipeline: a source for each kind of data."""

from typing import Annotated, Literal

from pydantic import Field

from embedlab.parameters import Parameters
from embedlab.sources.beir import BeirParameters
from embedlab.sources.documents import DocumentPairsParameters
from embedlab.sources.hh_rlhf import HhRlhfParameters
from embedlab.sources.library_docs import LibraryDocsParameters
from embedlab.sources.msmarco import MsMarcoParameters
from embedlab.sources.problem_solution import ProblemSolutionParameters


class FromLibraryDocs(Parameters):
    """Take the data from the installed libraries' documentation."""

    source: Literal["library_docs"]


class DataIngestionParameters(Parameters):
    """Where each kind of data comes from.

    Attributes:
        library_docs: how the installed libraries' documentation is sampled.
        problem_solutions: source of problems and solutions.
        preference_pairs: source of chosen and rejected answers.
        retrieval_pairs: source of queries and their relevant texts, to train on.
        retrieval_sets: BEIR sets, or groups of them, to test on; `library_docs` and `documents` are
            those that the sources of these names make.
        beir: where BEIR sets lie.
    """

    library_docs: LibraryDocsParameters = LibraryDocsParameters()
    problem_solutions: Annotated[
        FromLibraryDocs | ProblemSolutionParameters, Field(discriminator="source")
    ]
    preference_pairs: Annotated[FromLibraryDocs | HhRlhfParameters, Field(discriminator="source")]
    retrieval_pairs: Annotated[
        FromLibraryDocs | MsMarcoParameters | DocumentPairsParameters,
        Field(discriminator="source"),
    ]
    retrieval_sets: tuple[str, ...]
    beir: BeirParameters = BeirParameters()
