"""Rows of local files, each with its place, whatever the kind of file."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow
import pyarrow.parquet
from tqdm import tqdm

from embedlab.errors import InputError
from embedlab.sources.bad_rows import BadRowError, BadRows

Row = TypeVar("Row")


class Record(NamedTuple):
    """One row: where it stands ("folder/file.jsonl:17") and its fields by name."""

    where: str
    fields: dict[str, Any]


def read_records(path: Path, bad_rows: BadRows) -> Iterator[Record]:
    """Read a .json, .jsonl, .csv, .parquet or .txt file row by row.

    A .json file is a list of objects, or an object whose "data" is such a list; a .txt file gives
    the field `text`, a line each; blank lines are passed over. Rows that are not JSON, not an
    object, not CSV or not UTF-8 are counted in `bad_rows`, and reading goes on after them.

    Raises:
        InputError: no such file, an unknown suffix, no rows, or a file unreadable as a whole.
    """
    rows_before, empty = bad_rows.read, True
    try:
        for record in _reader(path)(path, bad_rows):
            empty = False
            yield record
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if empty and bad_rows.read == rows_before:
        raise InputError(f"{path}: holds no rows; give a file with at least one")


def usable_rows(
    records: Iterable[Record], parse: Callable[[Record], Row | None], bad_rows: BadRows
) -> Iterator[Row]:
    """Parse every record and count it: kept, bad, or left out where `parse` returns None."""
    for record in tqdm(records, desc="reading", unit=" rows", delay=2, leave=False):
        try:
            row = parse(record)
        except BadRowError as error:
            bad_rows.add(record.where, error.reason, error.value)
            continue
        if row is not None:
            bad_rows.kept += 1
            yield row


def read_sound_rows(path: Path, parse: Callable[[Record], Row | None]) -> list[Row]:
    """Parse all rows of a file in which none may be bad.

    Raises:
        InputError: for a file that cannot be read, or naming the first bad rows.
    """
    bad_rows = BadRows("fail")
    rows = list(usable_rows(read_records(path, bad_rows), parse, bad_rows))
    if bad_rows.skipped:
        count = f"bad rows: {bad_rows.skipped} of {bad_rows.read}; repair them"
        raise InputError(f"{'; '.join(bad_rows.examples)} ({count})")
    return rows


def refuse_repeated(
    seen: dict[Any, str], key: Any, record: Record, noun: str, value: Any = None
) -> None:
    """Remember where a key stood first.

    Raises:
        BadRowError: if that was an earlier row.
    """
    first = seen.setdefault(key, record.where)
    if first != record.where:
        raise BadRowError(f"the same {noun} as in {first}", value)


def read_lines(path: Path, bad_rows: BadRows) -> Iterator[tuple[str, str]]:
    """The place and the text of every line that is not blank, without its line break."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            where = f"{path}:{number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                bad_rows.add(where, "invalid UTF-8")
                continue
            if text and not text.isspace():
                yield where, text.rstrip("\r\n")


def _reader(path: Path) -> Callable[[Path, BadRows], Iterator[Record]]:
    """The reader for this file's suffix, once the file is known to be there."""
    readers = {
        ".json": _json_records,
        ".jsonl": _jsonl_records,
        ".csv": _csv_records,
        ".parquet": _parquet_records,
        ".txt": _txt_records,
    }
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name the files in it")
    if not path.exists():
        raise InputError(f"{path}: no such file; put it there or correct the path")
    if path.suffix.lower() not in readers:
        raise InputError(f"{path}: unknown kind of file; use {', '.join(readers)}")
    if not path.stat().st_size:
        raise InputError(f"{path}: is empty; give a file with at least one row")
    return readers[path.suffix.lower()]


def _json_records(path: Path, bad_rows: BadRows) -> Iterator[Record]:
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: invalid UTF-8 at byte {error.start}; save it as UTF-8") from None
    except (ValueError, RecursionError) as error:
        hint = "a file with one object a line is to be named .jsonl"
        raise InputError(f"{path}: not JSON ({error}); {hint}") from None
    rows = content.get("data") if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise InputError(f"{path}: neither a list of objects nor an object with a 'data' list")
    for number, row in enumerate(rows, start=1):
        yield from _object(f"{path}: item {number}", row, bad_rows)


def _jsonl_records(path: Path, bad_rows: BadRows) -> Iterator[Record]:
    for where, line in read_lines(path, bad_rows):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            bad_rows.add(where, "not JSON")
        else:
            yield from _object(where, row, bad_rows)


def _object(where: str, row: Any, bad_rows: BadRows) -> Iterator[Record]:
    """The row when it is an object, nothing when it is not."""
    if isinstance(row, dict):
        yield Record(where, row)
    else:
        bad_rows.add(where, "not a JSON object", row)


def _txt_records(path: Path, bad_rows: BadRows) -> Iterator[Record]:
    for where, line in read_lines(path, bad_rows):
        yield Record(where, {"text": line})


def _csv_records(path: Path, bad_rows: BadRows) -> Iterator[Record]:
    """Rows with the header's names; a row over several lines stands at its first."""
    csv.field_size_limit(sys.maxsize)
    with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        reader = csv.reader(file, strict=True)
        header: list[str] | None = None
        while True:
            where = f"{path}:{reader.line_num + 1}"
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                bad_rows.add(where, "not CSV", str(error))
                continue
            if header is None:
                header = cells
            elif cells:
                yield from _csv_row(where, header, cells, bad_rows)


def _csv_row(
    where: str, header: list[str], cells: list[str], bad_rows: BadRows
) -> Iterator[Record]:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        bad_rows.add(where, "invalid UTF-8")
        return
    if len(cells) == len(header):
        yield Record(where, dict(zip(header, cells, strict=True)))
    else:
        bad_rows.add(where, f"not {len(header)} cells as in the header", len(cells))


def _parquet_records(path: Path, bad_rows: BadRows) -> Iterator[Record]:
    number = 0
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=1024):
            for index in range(batch.num_rows):
                number += 1
                where = f"{path}: row {number}"
                try:
                    fields = batch.slice(index, 1).to_pylist()[0]
                except UnicodeDecodeError:
                    bad_rows.add(where, "invalid UTF-8")
                else:
                    yield Record(where, fields)
    except pyarrow.ArrowException as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: not a sound Parquet file ({reason})") from None
