"""Rows of a CSV file, as spreadsheets and other programs write it."""

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from itertools import chain
from pathlib import Path

from embedlab.errors import InputError
from embedlab.sources.bad_rows import BadRowError
from embedlab.sources.text_files import is_unicode, open_text

# Excel's first line, which names the delimiter.
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}

# The lines of a row, and its cells or what is wrong with it.
Cells = tuple[range, list[str] | BadRowError]


def csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str] | BadRowError]]:
    """Each row by the names in the header, or what is wrong with it, and the line it starts at.

    Blank lines are ignored, before the header too. A first line such as `sep=;` names the
    delimiter; without one it is the comma.

    Raises:
        InputError: for a header that is not CSV, has a name twice or another delimiter; for a
            faulty row of several lines, because a stray quote may have made one row of many.
    """
    csv.field_size_limit(sys.maxsize)
    header: list[str] | None = None
    with open_text(path, newline="") as file:
        for lines, cells in _rows(path, file):
            if header is None:
                header = _header(f"{path}:{lines.start}", cells)
            elif isinstance(cells, BadRowError):
                yield lines.start, cells
            elif cells:
                yield lines.start, _row(path, lines, header, cells)


def refuse_repeated_columns(where: str, names: Iterable[str]) -> None:
    """Check that no two columns have the same name; names may be blank.

    Raises:
        InputError: naming the column.
    """
    seen = set[str]()
    for name in names:
        if name in seen and name.strip():
            raise InputError(f"{where}: two columns are called {name!r}; rename one")
        seen.add(name)


def _rows(path: Path, file: TextIOWrapper) -> Iterator[Cells]:
    first = file.readline()
    separator = SEPARATOR_LINE.fullmatch(first)
    delimiter = separator[1] if separator else ","
    number = 2 if separator else 1
    row: list[str] = []
    lines = _recorded(file if separator else chain([first], file), row)
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    while True:
        cells: list[str] | BadRowError
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            if len(row) > 1:
                raise InputError(_open_quote(path, number, row, delimiter)) from None
            cells = BadRowError("not CSV, look at its quotes")
        yield range(number, number + len(row)), cells
        number += len(row)
        row.clear()


def _recorded(lines: Iterable[str], row: list[str]) -> Iterator[str]:
    """The lines; each is also appended to `row`."""
    for line in lines:
        row.append(line)
        yield line


def _open_quote(path: Path, number: int, row: list[str], delimiter: str) -> str:
    """The message about a row of several lines, from line `number`, with a quote too many."""
    mark = re.escape(delimiter)
    quoted = '"[^"]*+(?:""[^"]*+)*+"'
    complete = re.compile(rf'(?:(?:{quoted}|[^"{mark}][^{mark}]*+|){mark})*+')
    text = "".join(row)
    cells = complete.match(text)
    line = number + text.count("\n", 0, cells.end() if cells else 0)
    last = number + len(row) - 1
    return (
        f"{path}:{line}: the quote that opens here is not closed (read up to line {last}); "
        'close it, or write the cell as "..." with each quote in it doubled'
    )


def _header(where: str, cells: list[str] | BadRowError) -> list[str] | None:
    """The names of the columns; None for a blank line."""
    if isinstance(cells, BadRowError):
        raise InputError(f"{where}: the header is {cells}")
    if not any(cell.strip() for cell in cells):
        return None
    if len(cells) == 1 and (found := next((d for d in OTHER_DELIMITERS if d in cells[0]), None)):
        raise InputError(
            f"{where}: the header has {OTHER_DELIMITERS[found]} and no comma; save the file with "
            "commas, or name the delimiter in a line before the header, such as sep=;"
        )
    refuse_repeated_columns(where, cells)
    return cells


def _row(
    path: Path, lines: range, header: list[str], cells: list[str]
) -> dict[str, str] | BadRowError:
    if len(cells) != len(header) and len(lines) > 1:
        raise InputError(
            f"{path}:{lines.start}: the row from here to line {lines[-1]} has {len(cells)} cells, "
            f"not {len(header)} as the header; look for a quote that is missing or too many"
        )
    if not is_unicode("".join(cells)):
        return BadRowError("invalid UTF-8")
    if len(cells) != len(header):
        return BadRowError(f"not {len(header)} cells as in the header", len(cells))
    return dict(zip(header, cells, strict=True))
