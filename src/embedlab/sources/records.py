"""Rows of local files of any supported format, with the line that each comes from."""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO, TypeVar

import pyarrow
import pyarrow.parquet
from tqdm import tqdm

from embedlab.errors import InputError
from embedlab.sources.bad_rows import BadRowError, BadRows, UnwantedRowError
from embedlab.sources.csv_rows import csv_rows, refuse_repeated_columns
from embedlab.sources.text_files import file_kind, is_unicode, open_text

Row = TypeVar("Row")


class Record(NamedTuple):
    """One row of a source.

    Attributes:
        where: file and line, such as "folder/file.jsonl:17".
        fields: the values by column.
        fault: why the row could not be read; its fields are then empty.
    """

    where: str
    fields: dict[str, Any]
    fault: BadRowError | None = None


def read_records(path: Path) -> Iterator[Record]:
    """Read a .json, .jsonl (.ndjson), .csv, .parquet or .txt file row by row.

    A .json file holds a list of objects, or an object whose "data" is such a list; each line of a
    .txt file is a row with the field `text`. All but .parquet may be gzipped (.jsonl.gz), and in
    UTF-16 with a byte order mark. Blank lines are ignored. A row that is not JSON, not an object,
    not CSV or not UTF-8 becomes a record with a fault, and reading continues.

    Raises:
        InputError: if the file is absent or unreadable, has an unknown suffix or no rows; for a CSV
            file or columns that cannot be told apart (see `csv_rows`).
    """
    record = None
    try:
        for record in _reader(path)(path):
            yield record
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (EOFError, zlib.error) as error:
        raise InputError(f"{path}: damaged gzip file ({error}); copy it again") from None
    except UnicodeDecodeError as error:  # bytes that are not UTF-8 are faults of their row
        raise InputError(f"{path}: invalid UTF-16 ({error.reason}); save it as UTF-8") from None
    if record is None:
        raise InputError(f"{path}: holds no rows; give a file with at least one")


def usable_rows(
    records: Iterable[Record], parse: Callable[[Record], Row], bad_rows: BadRows
) -> Iterator[Row]:
    """Parse all records, and count in `bad_rows` which are kept, left out or bad.

    `parse` makes a row, or raises `BadRowError` or `UnwantedRowError` for a record to be dropped.
    """
    for record in tqdm(records, desc="reading", unit=" rows", delay=2, leave=False):
        try:
            if record.fault:
                raise record.fault
            row = parse(record)
        except BadRowError as error:
            bad_rows.add(record.where, error)
        except UnwantedRowError as reason:
            bad_rows.left_out[str(reason)] += 1
        else:
            bad_rows.kept += 1
            yield row


def read_sound_rows(path: Path, parse: Callable[[Record], Row]) -> list[Row]:
    """Parse all rows of a file in which no row may be bad.

    Raises:
        InputError: for a file that cannot be read, or naming the first bad rows.
    """
    bad_rows = BadRows("fail")
    rows = list(usable_rows(read_records(path), parse, bad_rows))
    bad_rows.settle("repair them")
    return rows


def refuse_repeated(
    seen: dict[Any, str], key: Any, record: Record, noun: str, value: Any = None
) -> None:
    """Store in `seen` where each key occurred first.

    Raises:
        BadRowError: if the key occurred in an earlier row.
    """
    first = seen.setdefault(key, record.where)
    if first != record.where:
        raise BadRowError(f"the same {noun} as in {first}", value)


def read_lines(path: Path) -> Iterator[Record]:
    """The lines of a file that are not blank, each as the field `text` without its line break."""
    with open_text(path, newline="\n") as file:
        for number, line in enumerate(file, start=1):
            where = f"{path}:{number}"
            if not is_unicode(line):
                yield _faulty(where, "invalid UTF-8")
            elif line.strip():
                yield Record(where, {"text": line.rstrip("\r\n")})


def _reader(path: Path) -> Callable[[Path], Iterator[Record]]:
    readers = {
        ".json": _json_records,
        ".jsonl": _jsonl_records,
        ".ndjson": _jsonl_records,
        ".csv": _csv_records,
        ".parquet": _parquet_records,
        ".txt": read_lines,
    }
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name the files in it")
    if not path.exists():
        raise InputError(f"{path}: no such file; put it there or correct the path")
    if file_kind(path) not in readers:
        raise InputError(f"{path}: unknown kind of file; use {', '.join(readers)}")
    if not path.stat().st_size:
        raise InputError(f"{path}: is empty; give a file with at least one row")
    return readers[file_kind(path)]


def _faulty(where: str, reason: str, value: Any = None) -> Record:
    return Record(where, {}, BadRowError(reason, value))


def _json_records(path: Path) -> Iterator[Record]:
    with open_text(path, newline="", errors="strict") as file:
        text = _decoded(file, path)
    try:
        content = JSON.decode(text)
    except BadRowError as fault:
        raise InputError(f"{path}: {fault}; rename one") from None
    except (ValueError, RecursionError) as error:
        hint = "give a file with one object per line the suffix .jsonl"
        raise InputError(f"{path}: not JSON ({error}); {hint}") from None
    rows = content.get("data") if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise InputError(f"{path}: neither a list of objects nor an object with a 'data' list")
    for number, row in enumerate(rows, start=1):
        yield _object(f"{path}: item {number}", row)


def _decoded(file: TextIO, path: Path) -> str:
    try:
        return file.read()
    except UnicodeDecodeError as error:
        reason = f"invalid {error.encoding.upper()} at byte {error.start}"
        raise InputError(f"{path}: {reason}; save it as UTF-8") from None


def _jsonl_records(path: Path) -> Iterator[Record]:
    for line in read_lines(path):
        if line.fault:
            yield line
            continue
        try:
            yield _object(line.where, JSON.decode(line.fields["text"]))
        except BadRowError as fault:
            yield Record(line.where, {}, fault)
        except (ValueError, RecursionError):
            yield _faulty(line.where, "not JSON")


def _distinct_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; Python's own parser would keep the last of two fields of one name."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise BadRowError("two fields of one name", max(names, key=names.count))
    return fields


JSON = json.JSONDecoder(object_pairs_hook=_distinct_fields)


def _object(where: str, row: Any) -> Record:
    if not isinstance(row, dict):
        return _faulty(where, "not a JSON object", row)
    return Record(where, row)


def _csv_records(path: Path) -> Iterator[Record]:
    for line, row in csv_rows(path):
        where = f"{path}:{line}"
        yield Record(where, {}, row) if isinstance(row, BadRowError) else Record(where, row)


def _parquet_records(path: Path) -> Iterator[Record]:
    try:
        file = pyarrow.parquet.ParquetFile(path)
        refuse_repeated_columns(str(path), file.schema_arrow.names)
        batches = file.iter_batches(batch_size=1024)
        rows = (batch.slice(index, 1) for batch in batches for index in range(batch.num_rows))
        for number, row in enumerate(rows, start=1):
            where = f"{path}: row {number}"
            try:
                columns = zip(row.schema.names, row.columns, strict=True)
                yield Record(where, {name: _value(column[0]) for name, column in columns})
            except UnicodeDecodeError:
                yield _faulty(where, "invalid UTF-8")
    except pyarrow.ArrowException as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: not a sound Parquet file ({reason})") from None


def _value(scalar: pyarrow.Scalar) -> Any:
    """The value in Python; of one that Python lacks, such as a date after 9999, the error.

    Such a value matters only if its column is needed: the checks of fields then refuse it.
    """
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        raise
    except Exception as error:  # of many types, by type of the column
        return error
