"""Identifiers as a JSON list, one a line, so that a long list can be read in parts."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from embedlab.datasets.local import PathDataset
from embedlab.errors import InputError
from embedlab.files import replacing
from embedlab.text_table import ROWS_PER_BATCH, Ids, as_ids


class IdsDataset(PathDataset[Ids, list[str]]):
    """A JSON list of identifiers: saved from a column, loaded as a list."""

    def load(self) -> list[str]:
        """Read the list.

        Raises:
            InputError: if the file is damaged, or holds no list of texts.
        """
        identifiers: list[str] = read_ids(self._filepath).to_pylist()
        return identifiers

    def save(self, data: Ids) -> None:
        """Write the list to a temporary file and rename it."""
        with replacing(self._filepath) as path:
            write_ids(data, path)


def write_ids(ids: Ids, path: Path) -> None:
    """Write a JSON list, one identifier a line."""
    with path.open("w", encoding="utf-8") as file:
        comma = ""
        file.write("[")
        for chunk in ids.chunks:
            for start in range(0, len(chunk), ROWS_PER_BATCH):
                texts = chunk.slice(start, ROWS_PER_BATCH).to_pylist()
                lines = ",\n".join(json.dumps(text, ensure_ascii=False) for text in texts)
                file.write(f"{comma}\n{lines}")
                comma = ","
        file.write("\n]\n")


def read_ids(path: Path) -> Ids:
    """Read a JSON list of texts in parts, if it has one a line, else at once.

    Raises:
        InputError: naming the first position that is no text; if the file is damaged.
    """
    with path.open(encoding="utf-8") as file:
        try:
            return pa.chunked_array(list(_parts(file)), pa.string())
        except (ValueError, TypeError):  # other layout, damaged, or not all texts
            file.seek(0)
            return as_ids(_whole(file, path))


def _parts(file: TextIO) -> Iterator[pa.Array]:
    if file.readline() != "[\n":
        raise ValueError("not one a line")
    while lines := list(islice(file, ROWS_PER_BATCH)):
        is_last = lines[-1] == "]\n"
        content = "".join(lines[:-1] if is_last else lines).rstrip().removesuffix(",")
        if None in (texts := json.loads(f"[{content}]")):
            raise ValueError("not all texts")
        yield pa.array(texts, pa.string())
        if is_last:
            return
    raise ValueError("no end")


def _whole(file: TextIO, path: Path) -> list[str]:
    try:
        ids: Any = json.load(file)
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}); run its pipeline again") from error
    if not isinstance(ids, list):
        raise InputError(f"{path}: expected a JSON list, found {type(ids).__name__}")
    faulty = next((i for i, item in enumerate(ids) if not isinstance(item, str)), None)
    if faulty is not None:
        raise InputError(f"{path}: position {faulty} is {ids[faulty]!r}, not a string")
    return ids
