"""Parameters of the data_ingestion pipeline: a source for each kind of data."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from embedlab.parameters import Parameters
from embedlab.sources.beir import BeirParameters
from embedlab.sources.beir_pairs import BeirPairsParameters
from embedlab.sources.documents import DocumentPairsParameters
from embedlab.sources.hh_rlhf import HhRlhfParameters
from embedlab.sources.library_docs import LibraryDocsParameters
from embedlab.sources.msmarco import MsMarcoParameters
from embedlab.sources.novelty_pairs import NoveltyPairsParameters
from embedlab.sources.problem_solution import ProblemSolutionParameters

# Names become parts of catalog entries and of paths.
SetName = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)?$")]


class FromLibraryDocs(Parameters):
    """Take the data from the installed libraries' documentation."""

    source: Literal["library_docs"]


PairSource = Annotated[
    FromLibraryDocs | MsMarcoParameters | DocumentPairsParameters | BeirPairsParameters,
    Field(discriminator="source"),
]
# What training is done in; `{stage}_queries` are those of its pairs.
STAGES = ("retrieval", "pretraining")


class DataIngestionParameters(Parameters):
    """Where each kind of data comes from.

    Attributes:
        library_docs: how the installed libraries' documentation is sampled.
        problem_solutions: source of problems and solutions.
        novelty_pairs: how these are divided into sets for novelty detection.
        preference_pairs: source of chosen and rejected answers.
        retrieval_pairs: source of queries and their relevant texts, to train on.
        pretraining_pairs: source of pairs to train on before these; None has no such stage.
        retrieval_sets: BEIR sets, or groups of them, to test on; `library_docs` and `documents` are
            those that the sources of these names make (`documents` for retrieval_pairs).
        beir: where BEIR sets lie.
    """

    library_docs: LibraryDocsParameters = LibraryDocsParameters()
    problem_solutions: Annotated[
        FromLibraryDocs | ProblemSolutionParameters, Field(discriminator="source")
    ]
    novelty_pairs: NoveltyPairsParameters = NoveltyPairsParameters()
    preference_pairs: Annotated[FromLibraryDocs | HhRlhfParameters, Field(discriminator="source")]
    retrieval_pairs: PairSource
    pretraining_pairs: PairSource | None = None
    retrieval_sets: tuple[SetName, ...]
    beir: BeirParameters = BeirParameters()

    @model_validator(mode="after")
    def _documents_are_made(self) -> Self:
        if "documents" in self.retrieval_sets and self.retrieval_pairs.source != "documents":
            raise ValueError("retrieval set documents needs retrieval_pairs.source: documents")
        return self

    @model_validator(mode="after")
    def _stages_keep_their_names(self) -> Self:
        if taken := sorted(set(STAGES) & set(self.retrieval_sets)):
            raise ValueError(
                f"retrieval set {taken[0]}: that name is the training pairs'; rename its folder"
            )
        return self

    @model_validator(mode="after")
    def _stages_differ(self) -> Self:
        if self.pretraining_pairs and self.pretraining_pairs == self.retrieval_pairs:
            raise ValueError("pretraining_pairs are the same as retrieval_pairs; give other pairs")
        return self
