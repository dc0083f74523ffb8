import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from embedlab.errors import InputError
from embedlab.sources.huggingface import HuggingFaceSource
from embedlab.sources.records import read_records

ROWS = [{"text": "café"}, {"text": "日本"}, {"text": "plain"}]
CONTENTS = {
    "rows.json": '[{"text": "café"}, {"text": "日本"}, {"text": "plain"}]',
    "rows.jsonl": '{"text": "café"}\n{"text": "日本"}\n{"text": "plain"}\n',
    "rows.ndjson": '{"text": "café"}\r\n{"text": "日本"}\r\n{"text": "plain"}',
    "rows.csv": 'text\r\ncafé\r\n"日本"\r\nplain\r\n',
    "rows.txt": "café\n\n日本\nplain\n",
}
# UTF-16 as Windows' and as other programs write it.
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-be")


def encoded(name: str, encoding: str) -> bytes:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    return (mark + CONTENTS[name]).encode(encoding)


def read(path: Path) -> list[dict[str, Any]]:
    found = list(read_records(path))
    assert not any(record.fault for record in found)
    return [record.fields for record in found]


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(InputError) as raised:
        list(read_records(path))
    message = str(raised.value)
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", CONTENTS)
def test_every_kind_of_file_is_read_in_every_encoding_and_gzipped(
    tmp_path: Path, name: str, encoding: str
) -> None:
    plain, gzipped = tmp_path / name, tmp_path / f"{name}.gz"
    plain.write_bytes(encoded(name, encoding))
    gzipped.write_bytes(gzip.compress(encoded(name, encoding)))
    assert read(plain) == read(gzipped) == ROWS


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", CONTENTS)
def test_utf_16_without_its_mark_is_refused(tmp_path: Path, name: str, encoding: str) -> None:
    content = "".join(filter(str.isascii, CONTENTS[name])).encode(encoding)
    assert refusal(tmp_path / name, content) == (
        "looks like UTF-16 without a byte order mark; save it as UTF-8"
    )


@pytest.mark.parametrize("name", CONTENTS)
def test_utf_16_that_breaks_off_is_refused(tmp_path: Path, name: str) -> None:
    found = refusal(tmp_path / name, encoded(name, "utf-16") + b"x")
    assert found.startswith("invalid UTF-16")
    assert found.endswith("; save it as UTF-8")


def test_a_damaged_gzip_file_is_one_line(tmp_path: Path) -> None:
    whole = gzip.compress(("\n".join(map(str, range(10_000)))).encode())
    path = tmp_path / "rows.txt.gz"
    assert refusal(path, whole[:-100]).startswith("damaged gzip file (Compressed file ended")
    assert refusal(path, whole[:40] + b"\xff" * 40 + whole[80:]).startswith("damaged gzip file (")
    assert refusal(path, b"plain\n").startswith("cannot be read (Not a gzipped file")
    assert refusal(path, gzip.compress(b"")) == "holds no rows; give a file with at least one"


def test_the_label_of_a_gzipped_file_is_its_stem() -> None:
    assert HuggingFaceSource(files=("data/train.jsonl.gz",)).label == "train"


def test_a_bad_line_is_still_one_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt.gz"
    path.write_bytes(gzip.compress(b"one\ncaf\xe9\nthree\n"))
    faults = [str(record.fault) if record.fault else None for record in read_records(path)]
    assert faults == [None, "invalid UTF-8", None]


def test_two_columns_of_one_name_in_parquet_are_refused(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "rows.parquet"
    columns = [pyarrow.array(["a"]), pyarrow.array(["b"])]
    pyarrow.parquet.write_table(pyarrow.table(columns, names=["text", "text"]), path)
    with pytest.raises(InputError) as raised:
        list(read_records(path))
    assert str(raised.value) == f"{path}: two columns are called 'text'; rename one"
    pd.DataFrame({"text": ["a"]}).to_parquet(path)
    assert read(path) == [{"text": "a"}]
