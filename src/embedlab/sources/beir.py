"""Retrieval sets in BEIR's format, from a local folder or by download."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from embedlab.errors import InputError
from embedlab.parameters import Parameters
from embedlab.sources.bad_rows import BadRowError, BadRows, OnError
from embedlab.sources.beir_download import download_beir_set
from embedlab.sources.beir_sets import (
    BEIR_GROUPS,
    NOT_DOWNLOADABLE,
    archive_of,
    available_sets,
    expand_groups,
    has_set,
)
from embedlab.sources.fields import (
    UniqueIds,
    optional_text,
    required_id,
    required_string,
    required_text,
)
from embedlab.sources.records import Record, read_lines, read_records, usable_rows
from embedlab.sources.retrieval_set import RetrievalSet

__all__ = [
    "BEIR_GROUPS",
    "NOT_DOWNLOADABLE",
    "BeirParameters",
    "available_sets",
    "expand_groups",
    "find_beir_set",
    "load_beir_set",
    "read_beir_folder",
]

CONTENTS = "corpus.jsonl, queries.jsonl and qrels/"


class BeirParameters(Parameters):
    """Where BEIR sets lie and how they are read.

    Attributes:
        root: the folder of local sets, one folder each; downloads go there too.
        split: which relevance judgements to use: qrels/<split>.tsv.
        download: whether a set that is not there may be downloaded.
        on_error: what to do about bad rows.
    """

    root: str = "data/01_raw/beir"
    split: str = "test"
    download: bool = True
    on_error: OnError = "fail"


def load_beir_set(name: str, p: BeirParameters) -> tuple[RetrievalSet, dict[str, Any]]:
    """Find the set, downloading it where need be, and read it.

    Returns:
        The set, and the reading's report with the sizes and the number of empty documents.

    Raises:
        InputError: as `find_beir_set` and `read_beir_folder` do.
    """
    bad_rows = BadRows(p.on_error)
    found = read_beir_folder(find_beir_set(name, Path(p.root), p.download), p.split, bad_rows)
    blank = (found.corpus["title"].str.strip() == "") & (found.corpus["text"].str.strip() == "")
    return found, bad_rows.report() | {
        "documents": len(found.corpus),
        "empty_documents": int(blank.sum()),
        "queries": len(found.queries),
        "judgements": len(found.qrels),
    }


def find_beir_set(name: str, root: Path, download: bool = True) -> Path:
    """The set's folder: `root/name` where it is there, else downloaded to there.

    Raises:
        InputError: when the set is not there and cannot be downloaded.
    """
    folder, archive = root / name, archive_of(name)
    if has_set(folder):
        return folder
    if name in NOT_DOWNLOADABLE:
        raise InputError(f"{name}: is not free to download; put its {CONTENTS} into {folder}")
    if not download or archive is None:
        raise InputError(f"{folder}: no such BEIR set; put {CONTENTS} there")
    download_beir_set(archive, root)
    return folder


def read_beir_folder(folder: Path, split: str, bad_rows: BadRows) -> RetrievalSet:
    """Read corpus.jsonl (_id, title, text), queries.jsonl (_id, text) and qrels/<split>.tsv.

    Documents may be empty, as some are in published sets; queries may not. Queries without a
    judgement in the split are not kept.

    Raises:
        InputError: for missing files; for bad rows under `fail`, among them judgements of unknown
            documents or queries; when no judged query is left.
    """
    qrels_file = folder / "qrels" / f"{split}.tsv"
    if not qrels_file.is_file():
        there = ", ".join(sorted(path.stem for path in qrels_file.parent.glob("*.tsv"))) or "none"
        raise InputError(f"{qrels_file}: no such file; splits there: {there}")
    corpus = _texts(folder / "corpus.jsonl", _document, ["id", "title", "text"], bad_rows)
    queries = _texts(folder / "queries.jsonl", _query, ["id", "text"], bad_rows)
    qrels = _judgements(qrels_file, set(corpus["id"]), set(queries["id"]), bad_rows)
    bad_rows.settle()
    judged = queries[queries["id"].isin(qrels["query_id"])].reset_index(drop=True)
    if judged.empty:
        raise InputError(f"{qrels_file}: judges no query; give at least one judgement")
    return RetrievalSet(corpus, judged, qrels)


def _texts(
    path: Path,
    parse: Callable[[Record], tuple[str, ...]],
    columns: list[str],
    bad_rows: BadRows,
) -> pd.DataFrame:
    """A file of identified texts as a table."""
    ids = UniqueIds()

    def parse_new(record: Record) -> tuple[str, ...]:
        row = parse(record)
        ids.check(row[0])
        return row

    rows = usable_rows(read_records(path), parse_new, bad_rows)
    return pd.DataFrame(rows, columns=columns)


def _document(record: Record) -> tuple[str, ...]:
    identifier, text = required_id(record, "_id"), required_string(record, "text")
    return identifier, optional_text(record, "title"), text


def _query(record: Record) -> tuple[str, ...]:
    return required_id(record, "_id"), required_text(record, "text")


def _judgements(
    path: Path, documents: set[str], queries: set[str], bad_rows: BadRows
) -> pd.DataFrame:
    """The table query_id, corpus_id, score of a qrels file."""
    seen: set[tuple[str, str]] = set()

    def parse(record: Record) -> tuple[str, str, int]:
        query, document, score = _judgement(record.fields["text"])
        if query not in queries:
            raise BadRowError("unknown query", query)
        if document not in documents:
            raise BadRowError("unknown document", document)
        if (query, document) in seen:
            raise BadRowError("judged twice", f"{query} {document}")
        seen.add((query, document))
        return query, document, score

    rows = usable_rows(_after_header(path), parse, bad_rows)
    return pd.DataFrame(rows, columns=["query_id", "corpus_id", "score"])


def _after_header(path: Path) -> Iterator[Record]:
    """The lines as records, less a first one whose last cell is no number."""
    for index, line in enumerate(read_lines(path)):
        if index or line.fault or _is_integer(line.fields["text"].rpartition("\t")[2]):
            yield line


def _judgement(line: str) -> tuple[str, str, int]:
    cells = next(csv.reader([line], delimiter="\t"))
    if len(cells) != 3:
        raise BadRowError("not the three cells query-id, corpus-id, score", line)
    query, document, score = cells
    if not _is_integer(score):
        raise BadRowError("the score is not a whole number", score)
    return query, document, int(score)


def _is_integer(text: str) -> bool:
    return text.strip().removeprefix("-").isdecimal()
