import json
import string
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import messages_of

from embedlab.errors import InputError
from embedlab.sources.bad_rows import BadRowError, BadRows
from embedlab.sources.fields import (
    new_id,
    optional_text,
    required_id,
    required_string,
    required_text,
)
from embedlab.sources.records import Record, read_records, usable_rows

SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")
text = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30)
rows_of_texts = st.lists(
    st.fixed_dictionaries({"query": text, "positive": text}), min_size=1, max_size=8
)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    table = pd.DataFrame(rows)
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        whole = "\n".join(lines) if path.suffix == ".jsonl" else f"[{', '.join(lines)}]"
        path.write_text(whole, encoding="utf-8", newline="")
    return path


def identified_text(record: Record, ids: set[str]) -> tuple[str, str]:
    return new_id(required_id(record, "id"), ids), required_text(record, "text")


def read_texts(path: Path, bad_rows: BadRows) -> list[tuple[str, str]]:
    """Read rows of id and text as every source does."""
    ids: set[str] = set()
    parsed = usable_rows(read_records(path), lambda r: identified_text(r, ids), bad_rows)
    rows = list(parsed)
    bad_rows.settle()
    return rows


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("suffix", SUFFIXES)
@given(rows=rows_of_texts)
def test_rows_survive_a_round_trip(tmp_path: Path, suffix: str, rows: list[dict[str, str]]) -> None:
    path = write(tmp_path / f"rows{suffix}", rows)
    records = list(read_records(path))
    assert [record.fields for record in records] == rows
    assert not any(record.fault for record in records)


def test_a_json_object_may_hold_the_list_under_data(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('{"version": 1, "data": [{"a": 1}, {"a": 2}]}')
    assert [r.fields for r in read_records(path)] == [{"a": 1}, {"a": 2}]


def test_every_row_knows_its_place(tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"a": 1}\n\n{"a": 2}\r\n')
    table = tmp_path / "b.csv"
    table.write_text('text,n\n"two\nlines",1\nthird,2\n')
    plain = tmp_path / "c.txt"
    plain.write_text("\ufeffone\n\nthree\n", encoding="utf-8")
    places = [
        record.where.removeprefix(f"{tmp_path}/")
        for path in (lines, table, plain)
        for record in read_records(path)
    ]
    assert places == ["a.jsonl:1", "a.jsonl:3", "b.csv:2", "b.csv:4", "c.txt:1", "c.txt:3"]
    assert next(read_records(plain)).fields == {"text": "one"}


ROW_ERRORS = {
    "not JSON": (b'{"id": 2, "text": ', "not JSON"),
    "deep JSON": (b"[" * 100_000, "not JSON"),
    "not an object": (b"[1, 2]", "not a JSON object ([1, 2])"),
    "invalid UTF-8": (b'{"id": 2, "text": "caf\xe9"}', "invalid UTF-8"),
    "lone surrogate": (
        b'{"id": 2, "text": "\\ud800"}',
        "field 'text' is not valid Unicode",
    ),
    "missing field": (b'{"id": 2}', "field 'text' is missing"),
    "null": (b'{"id": 2, "text": null}', "field 'text' is missing"),
    "empty text": (b'{"id": 2, "text": " \\n"}', "field 'text' is empty"),
    "wrong type": (b'{"id": 2, "text": 7}', "field 'text' is not text (7)"),
    "wrong type of id": (b'{"id": true, "text": "x"}', "field 'id' is not text (True)"),
    "id with a fraction": (b'{"id": 1.0, "text": "x"}', "field 'id' is not text (1.0)"),
    "field twice": (b'{"id": 2, "text": "x", "text": "y"}', "two fields of one name ('text')"),
    "duplicate id": (b'{"id": "1", "text": "x"}', "duplicate id ('1')"),
}


@pytest.mark.parametrize(("line", "reason"), ROW_ERRORS.values(), ids=ROW_ERRORS)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"id": 1, "text": "a"}\n' + line + b'\n{"id": 3, "text": "c"}\n')
    with pytest.raises(InputError) as raised:
        read_texts(path, BadRows("fail"))
    assert str(raised.value) == (
        f"{path}:2: {reason} (bad rows: 1 of 3; repair them or set on_error: skip)"
    )


def test_csv_rows_can_be_bad_in_their_own_ways(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b'id,text\n1,caf\xe9\n2,a,b\n3,ok\n4,"open\n')
    bad_rows = BadRows("fail")
    with pytest.raises(InputError) as raised:
        read_texts(path, bad_rows)
    assert str(raised.value) == (
        f"{path}:2: invalid UTF-8; {path}:3: not 2 cells as in the header (3); "
        f"{path}:5: not CSV, look at its quotes "
        "(bad rows: 3 of 4; repair them or set on_error: skip)"
    )


def test_only_the_first_three_bad_rows_are_named_and_all_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(['{"id": 0, "text": "good"}', *["{"] * 5]))
    with pytest.raises(InputError) as raised:
        read_texts(path, BadRows("fail"))
    named = "; ".join(f"{path}:{line}: not JSON" for line in (2, 3, 4))
    assert str(raised.value) == (f"{named} (bad rows: 5 of 6; repair them or set on_error: skip)")


def test_skipped_rows_are_counted_in_the_report_and_in_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": 1, "text": "a"}\n{\n{"id": 3}\n{\n')
    bad_rows = BadRows("skip")
    assert read_texts(path, bad_rows) == [("1", "a")]
    assert bad_rows.report() == {
        "read": 4,
        "kept": 1,
        "left_out": {},
        "skipped": 3,
        "reasons": {"not JSON": 2, "field 'text' is missing": 1},
        "examples": [
            f"{path}:2: not JSON",
            f"{path}:3: field 'text' is missing",
            f"{path}:4: not JSON",
        ],
    }
    assert messages_of(caplog) == [
        f"skipped 3 of 4 rows: not JSON: 2, field 'text' is missing: 1 (first: {path}:2: not JSON)"
    ]


def test_skipping_every_row_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("{\n{\n")
    with pytest.raises(InputError) as raised:
        read_texts(path, BadRows("skip"))
    assert str(raised.value) == (
        f"none of the 2 rows is usable: not JSON: 2 (first: {path}:1: not JSON)"
    )


FILE_ERRORS = {
    "rows.jsonl": (None, "no such file; put it there or correct the path"),
    "rows.xml": (
        b"<a/>",
        "unknown kind of file; use .json, .jsonl, .ndjson, .csv, .parquet, .txt",
    ),
    "empty.csv": (b"", "is empty; give a file with at least one row"),
    "blank.txt": (b"\n \n", "holds no rows; give a file with at least one"),
    "header.csv": (b"id,text\n", "holds no rows; give a file with at least one"),
    "latin.json": (b'["\xe9"]', "invalid UTF-8 at byte 2; save it as UTF-8"),
    "twice.json": (
        b'[{"a": 1}, {"a": 2, "b": {"c": 3, "c": 4}}]',
        "two fields of one name ('c'); rename one",
    ),
    "lines.json": (
        b'{"a": 1}\n{"a": 2}',
        "not JSON (Extra data: line 2 column 1 (char 9)); "
        "give a file with one object per line the suffix .jsonl",
    ),
    "object.json": (
        b'{"rows": []}',
        "neither a list of objects nor an object with a 'data' list",
    ),
}


@pytest.mark.parametrize("name", FILE_ERRORS)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content, reason = FILE_ERRORS[name]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as raised:
        list(read_records(path))
    assert str(raised.value) == f"{path}: {reason}"


def test_a_folder_or_a_damaged_parquet_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder; name the files in it$"):
        list(read_records(tmp_path))
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"PAR1" + string.ascii_letters.encode() + b"PAR1")
    with pytest.raises(InputError) as raised:
        list(read_records(path))
    message = str(raised.value)
    assert message.startswith(f"{path}: not a sound Parquet file (")
    assert "\n" not in message


def test_a_parquet_column_that_nobody_needs_may_hold_anything(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    dates = pyarrow.array([0, 3_000_000], pyarrow.date32())  # the second after the year 9999
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b"], "date": dates}), path)
    first, second = read_records(path)
    assert [required_text(record, "text") for record in (first, second)] == ["a", "b"]
    with pytest.raises(BadRowError, match=r"field 'date' is not text \(OverflowError\("):
        required_text(second, "date")


def test_fields_are_checked_but_never_changed() -> None:
    record = Record("here:1", {"text": " a\n", "id": 7, "blank": "", "none": None})
    assert required_text(record, "text") == " a\n"
    assert required_id(record, "id") == "7"
    assert required_string(record, "blank") == ""
    assert optional_text(record, "none") == optional_text(record, "absent") == ""
