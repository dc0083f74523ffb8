"""Data for every pipeline from docstrings: the summary is the query, the body its solution."""

import logging
from typing import Annotated, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, model_validator

from embedlab.errors import InputError
from embedlab.parameters import Parameters, Seed
from embedlab.sources.negatives import near_neighbours
from embedlab.sources.prefixes import Message, prefix_id
from embedlab.sources.retrieval_set import RetrievalSet
from embedlab.sources.sampling import hold_out
from embedlab.text_table import as_table

logger = logging.getLogger(__name__)

# Share of the sample that comes from the held-out libraries.
TEST_SHARE = 0.25
# Negatives are chosen among this many documents or more.
MIN_DOCS = 10

# Finding a dotted name would import its parents.
LibraryName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")]


class LibraryDocsParameters(Parameters):
    """Which libraries are read, and how their docstrings are sampled.

    Attributes:
        libraries: top-level import names, `stdlib` for the standard library; those that are not
            installed are skipped.
        test_libraries: those of `libraries` that are held out for testing.
        sample_size: number of documents, a quarter of them from `test_libraries`.
        validation_fraction: share of the other libraries' summaries that is held out.
        pairs_per_prefix: preference pairs for each prefix.
        seed: seed of every draw.
    """

    libraries: tuple[LibraryName, ...]
    test_libraries: tuple[LibraryName, ...]
    sample_size: int = Field(1800, ge=50, le=4000)
    validation_fraction: float = Field(0.1, gt=0, le=0.5)
    pairs_per_prefix: int = Field(3, ge=1, le=10)
    seed: Seed = 0

    @model_validator(mode="after")
    def _test_libraries_are_held_out(self) -> Self:
        unknown = sorted(set(self.test_libraries) - set(self.libraries))
        if unknown:
            raise ValueError(f"test_libraries {', '.join(unknown)} must be listed in libraries")
        if not self.test_libraries or set(self.test_libraries) == set(self.libraries):
            raise ValueError("test_libraries must be some of libraries and leave some for training")
        return self


def sample_docs(
    docs: pd.DataFrame, parameters: LibraryDocsParameters
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Draw a quarter of the sample from the held-out libraries, the rest from the others.

    `docs` is the output of `extract_docs`. Documents with the same summary are all in training or
    all in validation.

    Returns:
        Columns id (the dotted name), library, name, kind, summary, body, split (train, validation
        or test), sorted by library and name; and a report of what was found, sampled and skipped.

    Raises:
        InputError: if there are fewer than `MIN_DOCS` documents of either kind.
    """
    rng = np.random.default_rng(parameters.seed)
    in_test = docs["library"].isin(parameters.test_libraries)
    test_size = round(parameters.sample_size * TEST_SHARE)
    test = _draw(docs[in_test], test_size, "test_libraries", rng)
    rest_size = parameters.sample_size - test_size
    rest = _draw(docs[~in_test], rest_size, "libraries for training", rng)
    train, validation = hold_out(rest, "summary", parameters.validation_fraction, rng)
    splits = {"train": train, "validation": validation, "test": test}
    sample = pd.concat([table.assign(split=name) for name, table in splits.items()])
    sample = sample.sort_values(["library", "name"], ignore_index=True)
    sample.insert(0, "id", sample["name"])
    report = _report(docs, sample, parameters)
    logger.info("Sampled %d of %d docstrings: %s", len(sample), len(docs), report["splits"])
    return sample, report


def problem_solutions(sample: pd.DataFrame) -> pd.DataFrame:
    """Summaries as problems and bodies as solutions: id, problem, solution, source, split."""
    renamed = sample.rename(columns={"summary": "problem", "body": "solution"})
    return renamed.assign(source=_source(sample))[["id", "problem", "solution", "source", "split"]]


def retrieval_pairs(sample: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and validation pairs: a summary, its body, and the other body that BM25 ranks first.

    Negatives are drawn from the training documents, for validation from its documents too. Pairs
    that share a summary or a body with a held-out library's document are left out. The columns are
    query, positive, negative, source.
    """
    test = sample[sample["split"] == "test"]
    kept = sample[~sample["summary"].isin(test["summary"]) & ~sample["body"].isin(test["body"])]
    # A body of two summaries might be relevant to the query whose negative it becomes.
    single = sample[~sample["body"].duplicated(keep=False)]
    train, validation = (kept[kept["split"] == split] for split in ("train", "validation"))
    return (
        _with_negatives(train, single[single["split"] == "train"]),
        _with_negatives(validation, single[single["split"] != "test"]),
    )


def retrieval_set(sample: pd.DataFrame) -> RetrievalSet:
    """A test set whose queries are the summaries of the held-out libraries.

    The corpus has each distinct body of the whole sample once, so that training documents are
    distractors. Every body of an identical summary is relevant, whatever its library. Titles are
    empty, since an object's name would identify its body. Queries and documents share no ids,
    because beir drops documents whose id is the query's.
    """
    documents = sample.drop_duplicates("body")
    corpus = pd.DataFrame({"id": documents["id"], "title": "", "text": documents["body"]})
    test = sample[sample["split"] == "test"].drop_duplicates("summary")
    queries = pd.DataFrame({"id": "query:" + test["id"], "text": test["summary"]})
    query_ids = sample["summary"].map(queries.set_index("text")["id"])
    corpus_ids = sample["body"].map(corpus.set_index("text")["id"])
    qrels = pd.DataFrame({"query_id": query_ids, "corpus_id": corpus_ids, "score": 1}).dropna()
    queries, qrels = queries.reset_index(drop=True), qrels.reset_index(drop=True)
    return RetrievalSet(as_table(corpus), queries, qrels)


def preference_pairs(sample: pd.DataFrame, parameters: LibraryDocsParameters) -> pd.DataFrame:
    """Ask what each object does: its summary is chosen, those nearest to it by BM25 are rejected.

    Returns:
        Columns prefix, chosen, rejected, src, prefix_id; `pairs_per_prefix` rows per document,
        whose rejected texts differ from each other and from the chosen one in more than case and
        spaces.

    Raises:
        InputError: if the sample has too few different summaries.
    """
    codes, keys = pd.factorize(_folded(sample["summary"]))
    summaries = sample["summary"].to_numpy()[np.unique(codes, return_index=True)[1]]
    texts = summaries.tolist()
    near = near_neighbours(texts, keys, texts, keys, parameters.pairs_per_prefix)
    questions = [
        [Message(role="user", content=f"What does the {kind} `{name}` do?")]
        for kind, name in zip(sample["kind"], sample["name"], strict=True)
    ]
    pairs = {
        "prefix": [{"messages": messages} for messages in questions],
        "chosen": sample["summary"],
        "rejected": list(summaries[near[codes]]),
        "src": _source(sample),
        "prefix_id": list(map(prefix_id, questions)),
    }
    return pd.DataFrame(pairs).explode("rejected", ignore_index=True)


def _source(docs: pd.DataFrame) -> pd.Series:
    return "library_docs/" + docs["library"]


def _draw(docs: pd.DataFrame, size: int, origin: str, rng: np.random.Generator) -> pd.DataFrame:
    """Draw `size` documents without replacement, or all if there are fewer, in random order."""
    if len(docs) < MIN_DOCS:
        raise InputError(
            f"library_docs: {len(docs)} usable docstrings in the {origin}, at least {MIN_DOCS}"
            " are needed: install or list more libraries"
        )
    return docs.iloc[rng.permutation(len(docs))[:size]]


def _report(
    docs: pd.DataFrame, sample: pd.DataFrame, parameters: LibraryDocsParameters
) -> dict[str, Any]:
    found, sampled = docs["library"].value_counts(), sample["library"].value_counts()
    return {
        "libraries": {
            library: {"found": int(found[library]), "sampled": int(sampled.get(library, 0))}
            for library in sorted(found.index)
        },
        "libraries_absent": sorted(set(parameters.libraries) - set(found.index)),
        "files_read": docs.attrs.get("files_read"),
        "files_unparsable": docs.attrs.get("files_unparsable"),
        "splits": sample["split"].value_counts().sort_index().to_dict(),
    }


def _folded(texts: pd.Series) -> NDArray[Any]:
    """Texts without case and spaces; texts that agree in this form count as the same."""
    return texts.str.casefold().str.replace(r"\s+", "", regex=True).to_numpy(object)


def _with_negatives(docs: pd.DataFrame, pool: pd.DataFrame) -> pd.DataFrame:
    """One pair per document; its negative is the body in `pool` that BM25 ranks first."""
    queries, bodies = docs["summary"], pool["body"]
    query_keys, text_keys = _folded(queries), _folded(pool["summary"])
    near = near_neighbours(queries.tolist(), query_keys, bodies.tolist(), text_keys, 1)
    pairs = pd.DataFrame({"query": queries, "positive": docs["body"]})
    pairs = pairs.assign(negative=bodies.to_numpy()[near[:, 0]], source=_source(docs))
    return pairs.reset_index(drop=True)
