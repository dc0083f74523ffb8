"""Retrieval sets in BEIR's format, from a local folder or by download."""

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from embedlab.errors import InputError
from embedlab.parameters import Parameters
from embedlab.sources.bad_rows import BadRowError, BadRows, OnError
from embedlab.sources.beir_download import download_beir_set
from embedlab.sources.beir_sets import (
    EVALUATION_SPLITS,
    NOT_DOWNLOADABLE,
    archive_of,
    has_set,
    plain_or_gz,
)
from embedlab.sources.fields import (
    new_id,
    number_of,
    optional_text,
    required_id,
    required_string,
    required_text,
)
from embedlab.sources.records import Record, read_lines, read_records, usable_rows
from embedlab.sources.retrieval_set import RetrievalSet, full_texts

CONTENTS = "corpus.jsonl, queries.jsonl and qrels/"


class BeirParameters(Parameters):
    """Where BEIR sets lie and how they are read.

    Attributes:
        root: the folder of local sets, one folder each; downloads go there too.
        split: which relevance judgements to use: qrels/<split>.tsv; for `test`, those that BEIR
            evaluates on: for msmarco qrels/dev.tsv.
        download: whether a set that is not in `root` may be downloaded.
        on_error: what to do about bad rows.
    """

    root: str = "data/01_raw/beir"
    split: str = "test"
    download: bool = True
    on_error: OnError = "fail"


def load_beir_set(name: str, p: BeirParameters) -> tuple[RetrievalSet, dict[str, Any]]:
    """Find or download the set and read it; the report has sizes and counts of bad rows."""
    bad_rows = BadRows(p.on_error)
    split = EVALUATION_SPLITS.get(name, p.split) if p.split == "test" else p.split
    found = read_beir_folder(find_beir_set(name, Path(p.root), p.download), split, bad_rows)
    return found, bad_rows.report() | {
        "documents": len(found.corpus),
        "empty_documents": full_texts(found.corpus).count(""),
        "queries": len(found.queries),
        "judgements": len(found.qrels),
    }


def find_beir_set(name: str, root: Path, download: bool = True) -> Path:
    """The set's folder, `root/name`; it is downloaded if it does not exist.

    Raises:
        InputError: if the set does not exist and cannot be downloaded.
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

    The first two may be gzipped (corpus.jsonl.gz). Integers as `_id` are those of the qrels.
    Documents may be empty, as some are in published sets; queries may not. Queries without a
    judgement in the split are left out.

    Raises:
        InputError: for missing files; for bad rows under `fail`, among them judgements of unknown
            documents or queries; if no query is judged.
    """
    qrels_file = folder / "qrels" / f"{split}.tsv"
    if not qrels_file.is_file():
        splits = ", ".join(sorted(path.stem for path in qrels_file.parent.glob("*.tsv"))) or "none"
        raise InputError(f"{qrels_file}: no such file; splits there: {splits}")
    corpus = read_corpus(plain_or_gz(folder / "corpus.jsonl"), bad_rows)
    queries = read_queries(plain_or_gz(folder / "queries.jsonl"), bad_rows)
    known = {"unknown query": set(queries["id"]), "unknown document": set(corpus["id"])}
    qrels = read_qrels(qrels_file, bad_rows, known)
    bad_rows.settle()
    judged = queries[queries["id"].isin(qrels["query_id"])].reset_index(drop=True)
    if judged.empty:
        raise InputError(f"{qrels_file}: judges no query; give at least one judgement")
    return RetrievalSet(corpus, judged, qrels)


def read_corpus(path: Path, bad_rows: BadRows) -> pd.DataFrame:
    """The documents of a JSON lines file: columns id, title, text."""
    table = _read_texts(path, bad_rows, text=required_string, title=optional_text)
    return table[["id", "title", "text"]]


def read_queries(path: Path, bad_rows: BadRows) -> pd.DataFrame:
    """The queries of a JSON lines file: columns id, text."""
    return _read_texts(path, bad_rows, text=required_text)


def read_qrels(
    path: Path, bad_rows: BadRows, known: Mapping[str, set[str]] | None = None
) -> pd.DataFrame:
    """The judgements of a tab-separated file: columns query_id, corpus_id, score.

    The file may have a header. Scores are whole numbers, which may be written as 1.0. `known` has
    the identifiers of queries, then those of documents, each by the reason for which others are
    refused; None takes all.
    """
    judged: set[tuple[str, str]] = set()

    def parse(record: Record) -> tuple[str, str, int]:
        *pair, score = _judgement(record.fields["text"])
        for identifier, (reason, identifiers) in zip(pair, (known or {}).items(), strict=False):
            if identifier not in identifiers:
                raise BadRowError(reason, identifier)
        query, document = pair
        if (query, document) in judged:
            raise BadRowError("judged twice", f"{query} {document}")
        judged.add((query, document))
        return query, document, score

    rows = usable_rows(_after_header(path), parse, bad_rows)
    return pd.DataFrame(rows, columns=["query_id", "corpus_id", "score"])


def _read_texts(
    path: Path, bad_rows: BadRows, **readers: Callable[[Record, str], str]
) -> pd.DataFrame:
    """A file of texts with distinct `_id` as a table; `readers` has the function of each field."""
    ids: set[str] = set()

    def parse(record: Record) -> list[str]:
        identifier = required_id(record, "_id")
        values = [read(record, field) for field, read in readers.items()]
        return [new_id(identifier, ids), *values]

    rows = usable_rows(read_records(path), parse, bad_rows)
    return pd.DataFrame(rows, columns=["id", *readers])


def _after_header(path: Path) -> Iterator[Record]:
    """The lines without a header: a first line whose last cell is no number."""
    for index, line in enumerate(read_lines(path)):
        if index or line.fault or not math.isnan(number_of(_last_cell(line.fields["text"]))):
            yield line


def _last_cell(line: str) -> str:
    return line.rpartition("\t")[2].strip('"')


def _judgement(line: str) -> tuple[str, str, int]:
    try:
        cells = next(csv.reader([line], delimiter="\t"))
    except csv.Error as error:
        raise BadRowError(f"not tab-separated ({error})", line) from error
    if len(cells) != 3:
        raise BadRowError("not the three cells query-id, corpus-id, score", line)
    query, document, score = cells
    number = number_of(score)
    if not number.is_integer():
        raise BadRowError("the score is not a whole number", score)
    return query, document, int(number)
