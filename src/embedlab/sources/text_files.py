"""Text files as people have them: in UTF-8, or in UTF-16 with a byte order mark; gzipped or not."""

import codecs
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

from embedlab.errors import InputError

UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def file_kind(path: Path) -> str:
    """The suffix that says what a file holds, in lower case.

    Example:
        >>> file_kind(Path("rows.JSONL.gz"))
        '.jsonl'
    """
    return without_gz(path).suffix.lower()


def without_gz(path: Path) -> Path:
    """The path without the suffix of gzip."""
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


@contextmanager
def open_text(path: Path, newline: str, errors: str = "surrogateescape") -> Iterator[TextIOWrapper]:
    """Open a text file; by default, bytes that are not UTF-8 are read as lone surrogates.

    Args:
        path: the file.
        newline: how lines end, as `open` takes it.
        errors: how bytes are read that the encoding does not have, as `open` takes it.

    Raises:
        InputError: for UTF-16 without a byte order mark.
    """
    is_gzipped = path.suffix.lower() == ".gz"
    with gzip.open(path) if is_gzipped else path.open("rb") as file:
        encoding = _encoding(file.peek(2)[:2], path)
        with TextIOWrapper(file, encoding, errors, newline) as text:
            yield text


def is_unicode(text: str) -> bool:
    """Whether a text has no lone surrogate, which no encoding can store."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _encoding(start: bytes, path: Path) -> str:
    if start in UTF_16_MARKS:
        return "utf-16"
    if b"\0" in start:  # a character of ASCII is one zero byte and another in UTF-16
        raise InputError(f"{path}: looks like UTF-16 without a byte order mark; save it as UTF-8")
    return "utf-8-sig"
