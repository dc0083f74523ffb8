from pathlib import Path
from typing import Any

import pytest

from embedlab.errors import InputError
from embedlab.sources.records import Record, read_records


def records(path: Path, content: str, encoding: str = "utf-8") -> list[Record]:
    path.write_bytes(content.encode(encoding))
    return list(read_records(path))


def fields(path: Path, content: str) -> list[dict[str, Any]]:
    found = records(path, content)
    assert not any(record.fault for record in found)
    return [record.fields for record in found]


def refusal(path: Path, content: str) -> str:
    with pytest.raises(InputError) as raised:
        records(path, content)
    message = str(raised.value)
    assert "\n" not in message
    return message.removeprefix(f"{path}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv"


# --- quotes --------------------------------------------------------------------------------------

ROWS = [f'{n},"text, {n}"' for n in range(20)]


@pytest.mark.parametrize("number", [0, 7, 18])
def test_a_stray_quote_is_named_by_its_line(path: Path, number: int) -> None:
    rows = [f"{n},text {n}" for n in range(20)]
    rows[number] = f'{number},"text {number}'
    assert refusal(path, "\n".join(["id,text", *rows, ""])) == (
        f":{number + 2}: the quote that opens here is not closed (read up to line 21); close it, "
        'or write the cell as "..." with each quote in it doubled'
    )


def test_a_stray_quote_in_the_last_row_is_one_bad_row(path: Path) -> None:
    first, last = records(path, 'id,text\n1,a\n2,"open\n')
    assert first.fields == {"id": "1", "text": "a"}
    assert (last.where, str(last.fault)) == (f"{path}:3", "not CSV, look at its quotes")


def test_a_stray_quote_before_quoted_cells_is_named_by_its_line(path: Path) -> None:
    rows = [*ROWS[:3], '3,"text 3', "4,text 4", *ROWS[5:]]
    assert refusal(path, "\n".join(["id,text", *rows])).startswith(
        ":5: the quote that opens here is not closed (read up to line 7); close it, or"
    )


def test_the_quote_may_open_in_a_later_line_of_its_row(path: Path) -> None:
    content = 'id,text,note\n1,"two\nlines, ""quoted""","open\n2,a,b\n3,c,d\n'
    assert refusal(path, content).startswith(":3: the quote that opens here")


def test_a_quote_that_makes_one_row_of_many_is_named(path: Path) -> None:
    content = 'id,text\n1,a\n2,"5 inch\n3,b\n4,"5 inch"",c,d"\n5,e\n'
    assert refusal(path, content).startswith(":3: the quote that opens here")
    assert refusal(path, 'id,text\n1,a\n2,"5 inch\n3,6",c\n4,d\n') == (
        ":3: the row from here to line 4 has 3 cells, not 2 as the header; look for a quote that "
        "is missing or too many"
    )


def test_a_quote_within_a_line_is_one_bad_row(path: Path) -> None:
    found = records(path, 'id,text\n1,"a"b\n2,c\n3,5" wide\n')
    assert [str(record.fault) if record.fault else record.fields["text"] for record in found] == [
        "not CSV, look at its quotes",
        "c",
        '5" wide',
    ]


# --- the header ----------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", ["\n", "\r\n\r\n", "  \n", ",,\n"])
def test_a_blank_line_is_no_header(path: Path, blank: str) -> None:
    found = records(path, f"{blank}id,text\n1,a\n\n2,b\n")
    assert [record.fields for record in found] == [
        {"id": "1", "text": "a"},
        {"id": "2", "text": "b"},
    ]
    first = 2 + blank.count("\n")
    assert [record.where for record in found] == [f"{path}:{first}", f"{path}:{first + 2}"]


def test_two_columns_of_one_name_are_refused(path: Path) -> None:
    assert refusal(path, "text,id,text\na,1,b\n") == (
        ":1: two columns are called 'text'; rename one"
    )
    assert fields(path, "text,,\na,,\n") == [{"text": "a", "": ""}]


def test_a_header_that_is_no_csv_is_refused(path: Path) -> None:
    assert refusal(path, '"id"x,text\n1,a\n2,b\n') == (
        ":1: the header is not CSV, look at its quotes"
    )


# --- delimiters ----------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["sep=;\n", "SEP=;\r\n", '"sep=;"\n', "\ufeffsep=;\n"])
def test_the_first_line_may_name_the_delimiter(path: Path, line: str) -> None:
    found = records(path, f'{line}id;text\n1;"a; b, c"\n2;d,e\n')
    assert [record.fields["text"] for record in found] == ["a; b, c", "d,e"]
    assert [record.where for record in found] == [f"{path}:3", f"{path}:4"]


@pytest.mark.parametrize(
    ("mark", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")]
)
def test_another_delimiter_is_named_with_the_remedy(path: Path, mark: str, name: str) -> None:
    content = f"id{mark}text\n1{mark}a\n2{mark}b\n"
    assert refusal(path, content) == (
        f":1: the header has {name} and no comma; save the file with commas, or name the delimiter "
        "in a line before the header, such as sep=;"
    )
    assert fields(path, f"sep={mark}\n{content}") == [
        {"id": "1", "text": "a"},
        {"id": "2", "text": "b"},
    ]


def test_one_column_needs_no_delimiter(path: Path) -> None:
    assert fields(path, "text\na\nb; c\n") == [{"text": "a"}, {"text": "b; c"}]
