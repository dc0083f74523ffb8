"""Retrieval sets in BEIR's format, from a local folder or by download."""

import csv
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

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
    number_of,
    optional_text,
    required_id,
    required_string,
    required_text,
)
from embedlab.sources.records import Record, read_lines, read_records, usable_rows
from embedlab.sources.retrieval_set import RetrievalSet, full_texts
from embedlab.text_table import find_rows, repeated_rows, spill, take_rows, without_rows

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
        "empty_documents": sum(not text for text in full_texts(found.corpus)),
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
    qrels = read_qrels(qrels_file, bad_rows, queries, corpus)
    bad_rows.settle()
    judged = queries[queries["id"].isin(qrels["query_id"])].reset_index(drop=True)
    if judged.empty:
        raise InputError(f"{qrels_file}: judges no query; give at least one judgement")
    return RetrievalSet(corpus, judged, qrels)


def read_corpus(path: Path, bad_rows: BadRows) -> pa.Table:
    """The documents of a JSON lines file: columns id, title, text."""
    table = _read_texts(path, bad_rows, text=required_string, title=optional_text)
    return table.select(["id", "title", "text"])


def read_queries(path: Path, bad_rows: BadRows) -> pd.DataFrame:
    """The queries of a JSON lines file: columns id, text."""
    queries: pd.DataFrame = _read_texts(path, bad_rows, text=required_text).to_pandas()
    return queries


def read_qrels(
    path: Path, bad_rows: BadRows, queries: pd.DataFrame, corpus: pa.Table
) -> pd.DataFrame:
    """The judgements of a tab-separated file: columns query_id, corpus_id, score.

    The file may have a header. Scores are whole numbers, which may be written as 1.0. Judgements
    of other queries and documents than these are bad rows.
    """
    known, judged = set(queries["id"]), set[tuple[str, str]]()

    def parse(record: Record) -> tuple[str, str, str, int]:
        query, document, score = _judgement(record.fields["text"])
        if query not in known:
            raise BadRowError("unknown query", query)
        if (query, document) in judged:
            raise BadRowError("judged twice", f"{query} {document}")
        judged.add((query, document))
        return record.where, query, document, score

    columns = ["where", "query_id", "corpus_id", "score"]
    qrels = pd.DataFrame(usable_rows(_after_header(path), parse, bad_rows), columns=columns)
    is_known = find_rows(corpus["id"], qrels["corpus_id"]) >= 0
    for row in qrels[~is_known].itertuples():
        bad_rows.refuse(str(row.where), BadRowError("unknown document", row.corpus_id))
    return qrels[is_known].drop(columns="where").reset_index(drop=True)


def _read_texts(path: Path, bad_rows: BadRows, **readers: Callable[[Record, str], str]) -> pa.Table:
    """A file of texts with distinct `_id` as a table; `readers` has the function of each field."""

    def parse(record: Record) -> list[str]:
        values = [read(record, field) for field, read in readers.items()]
        return [record.where, required_id(record, "_id"), *values]

    rows = usable_rows(read_records(path), parse, bad_rows)
    table = spill(rows, ["where", "id", *readers])
    repeated = repeated_rows(table["id"])
    for row in take_rows(table.select(["where", "id"]), repeated).to_pylist():
        bad_rows.refuse(row["where"], BadRowError("duplicate id", row["id"]))
    return without_rows(table, repeated).drop_columns("where")


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
