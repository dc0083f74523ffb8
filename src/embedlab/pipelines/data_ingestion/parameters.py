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

# Names of sets become parts of catalog entries and of paths.
SetName = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)?$")]


class FromLibraryDocs(Parameters):
    """The docstrings of installed libraries."""

    source: Literal["library_docs"]


# The sources of training pairs: to add one, list its parameters here and its node in pipeline.py.
PairSource = Annotated[
    FromLibraryDocs | MsMarcoParameters | DocumentPairsParameters | BeirPairsParameters,
    Field(discriminator="source"),
]
# The stages of training; the collection `{stage}_queries` has the queries of a stage's pairs.
STAGES = ("retrieval", "pretraining")
# By stage, the retrieval set of its test split, if its pairs are of documents.
TEST_SETS = {"retrieval": "documents", "pretraining": "pretraining"}
# The name of the second in the catalog, where `pretraining_queries` are queries to train on.
PRETRAINING_TEST = "pretraining_test"


def catalog_name(retrieval_set: str) -> str:
    """The name of a retrieval set in the catalog; the path of a forum of CQADupStack has a slash.

    Example:
        >>> catalog_name("cqadupstack/gis"), catalog_name("pretraining")
        ('cqadupstack-gis', 'pretraining_test')
    """
    is_pretraining = retrieval_set == TEST_SETS["pretraining"]
    return PRETRAINING_TEST if is_pretraining else retrieval_set.replace("/", "-")


class DataIngestionParameters(Parameters):
    """The source of each kind of data.

    Attributes:
        library_docs: sample of the docstrings of installed libraries.
        problem_solutions: source of problems and solutions.
        novelty_pairs: division of these into sets for novelty detection.
        preference_pairs: source of chosen and rejected responses.
        retrieval_pairs: source of queries with relevant texts for training.
        pretraining_pairs: source of the pairs of a first training stage; null for no such stage.
        retrieval_sets: BEIR sets, or groups of them, to test on; `library_docs` is the test set of
            the library docs, `documents` the test split of retrieval_pairs from documents, and
            `pretraining` that of pretraining_pairs.
        beir: where BEIR sets are stored.
    """

    library_docs: LibraryDocsParameters
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
    def _consistent(self) -> Self:
        sources = {"retrieval": self.retrieval_pairs, "pretraining": self.pretraining_pairs}
        for stage, name in TEST_SETS.items():
            is_made = isinstance(sources[stage], DocumentPairsParameters)
            if name in self.retrieval_sets and not is_made:
                raise ValueError(f"retrieval set {name} needs {stage}_pairs.source: documents")
        if taken := sorted({"retrieval", PRETRAINING_TEST} & set(self.retrieval_sets)):
            raise ValueError(
                f"retrieval set {taken[0]}: the training pairs have that name; rename its folder"
            )
        if self.pretraining_pairs and self.pretraining_pairs == self.retrieval_pairs:
            raise ValueError("pretraining_pairs are the same as retrieval_pairs; give other pairs")
        return self
