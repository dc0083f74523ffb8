"""Problems with their solutions: datasets with the columns of GSM8K or MATH, retrieval sets."""

from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Literal, Self

import pandas as pd
from pydantic import model_validator

from embedlab.parameters import Parameters
from embedlab.sources.bad_rows import BadRowError, BadRows, OnError
from embedlab.sources.beir import BeirParameters, load_beir_set
from embedlab.sources.beir_sets import with_forums
from embedlab.sources.fields import new_id, required_id, required_text
from embedlab.sources.huggingface import HuggingFaceSource, HuggingFaceSources, open_rows
from embedlab.sources.records import Record, usable_rows

# GSM8K (Cobbe et al. 2021, arXiv 2110.14168), then MATH (Hendrycks et al. 2021, arXiv 2103.03874).
KNOWN_COLUMNS = (("question", "answer"), ("problem", "solution"))
COLUMNS = ["id", "problem", "solution", "source", "split"]


class RelevantPairsParameters(BeirParameters):
    """Which retrieval sets to take queries and relevant documents from.

    Attributes:
        sets: BEIR sets by name; cqadupstack stands for its forums.
    """

    sets: tuple[str, ...] = ()


class ProblemSolutionParameters(Parameters):
    """Which datasets of problems and solutions to read, one after the other.

    Attributes:
        data: the datasets; each entry is one split of one dataset.
        relevant_pairs: retrieval sets, whose queries are problems and relevant documents solutions.
        problem_column: the problem's column; None finds "question" or "problem".
        solution_column: the solution's column; None finds "answer" or "solution".
        id_column: the column of identifiers; None numbers the rows "<source>-<split>-<n>".
        on_error: `fail` on bad rows, or `skip` them.
    """

    source: Literal["problem_solution"] = "problem_solution"
    data: HuggingFaceSources
    relevant_pairs: RelevantPairsParameters = RelevantPairsParameters()
    problem_column: str | None = None
    solution_column: str | None = None
    id_column: str | None = None
    on_error: OnError = "fail"

    @model_validator(mode="after")
    def _both_columns_or_none(self) -> Self:
        if (self.problem_column is None) != (self.solution_column is None):
            raise ValueError("give both problem_column and solution_column, or neither")
        return self

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        prefixes = Counter(f"{source.label}-{source.split}" for source in self.data)
        (prefix, count), *_ = prefixes.most_common(1)
        if count > 1 and self.id_column is None:
            raise ValueError(
                f"data: the ids of {count} entries would start with {prefix}; give each another "
                "name or split, or an id_column"
            )
        return self


def read_problem_solutions(p: ProblemSolutionParameters) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read all the datasets into one table.

    Returns:
        Columns id, problem, solution, source, split, in the order read; and the report of the rows.

    Raises:
        InputError: for bad rows under `on_error: fail`, for files or datasets that cannot be read.
    """
    bad_rows, ids = BadRows(p.on_error), set[str]()
    rows: list[tuple[str, ...]] = []
    for source in p.data:
        rows += usable_rows(open_rows(source), _parser(source, p, ids), bad_rows)
    bad_rows.settle()
    table, report = pd.DataFrame(rows, columns=COLUMNS), bad_rows.report()
    if p.relevant_pairs.sets:
        relevant, report["relevant_pairs"] = read_relevant_pairs(p.relevant_pairs)
        table = pd.concat([table, relevant], ignore_index=True)
    return table, report


def read_relevant_pairs(p: RelevantPairsParameters) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Every judged query of one or more sets with each of its relevant documents with a text.

    Returns:
        Columns id, problem, solution, source, split; and the report of each set.
    """
    tables, reports = [], {}
    for name in with_forums(p.sets, Path(p.root)):
        found, reports[name] = load_beir_set(name, p)
        pairs = found.relevant_pairs().rename(columns={"query": "problem", "document": "solution"})
        pairs["id"] = name + "-" + pairs["query_id"] + "-" + pairs["corpus_id"]
        tables.append(pairs.assign(source=name, split=p.split)[COLUMNS])
    return pd.concat(tables, ignore_index=True), reports


def _parser(
    source: HuggingFaceSource, p: ProblemSolutionParameters, ids: set[str]
) -> Callable[[Record], tuple[str, ...]]:
    numbers = count()

    def parse(record: Record) -> tuple[str, ...]:
        default = f"{source.label}-{source.split}-{next(numbers)}"
        problem, solution = (required_text(record, column) for column in _columns(record, p))
        identifier = required_id(record, p.id_column) if p.id_column else default
        return new_id(identifier, ids), problem, solution, source.label, source.split

    return parse


def _columns(record: Record, p: ProblemSolutionParameters) -> tuple[str, str]:
    """The columns in the parameters, else the known pair of which this row has more."""
    if p.problem_column and p.solution_column:
        return p.problem_column, p.solution_column
    columns = max(KNOWN_COLUMNS, key=lambda pair: len(record.fields.keys() & set(pair)))
    if record.fields.keys().isdisjoint(columns):
        reason = "no question/answer or problem/solution; set problem_column and solution_column"
        raise BadRowError(reason, sorted(record.fields))
    return columns
