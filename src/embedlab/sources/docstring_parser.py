"""Documented public objects of one Python source file, found without importing it.

Standard library only, so that a worker process that parses files starts at once.
"""

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

# Four words or fewer ("Base class.", "See above.") say nothing that one could search for.
MINIMUM_SUMMARY_WORDS = 5
# A longer first paragraph is no summary any more: a licence, a list of arguments, an essay.
MAXIMUM_SUMMARY_WORDS = 60
# Below this a body is a lone "Returns: None" or a pointer to another page.
MINIMUM_BODY_WORDS = 15
# Sentence encoders read 256 to 512 tokens, about 2,000 characters: the rest would not be seen.
MAXIMUM_BODY_CHARACTERS = 2000

_QUOTES = (b'"""', b"'''")
_HEADING = (
    r"(?:Args|Arguments|Parameters|Params|Inputs|Attributes|Returns|Yields|Raises|Notes?"
    r"|References|Examples?|Usage|See Also):? *(?:\n|$)"
)
_END_OF_SUMMARY = re.compile(rf"\n\s*\n|\n(?={_HEADING})")
# A heading, a call signature, an argument's type, a directive, a farewell.
_NOT_A_SUMMARY = re.compile(rf"{_HEADING}|[\w.]+(?:\(| \(`)|!!!|\.\. |deprecated", re.IGNORECASE)
_NOT_A_BODY = re.compile(r"\.\. deprecated|deprecated|\.\. seealso|see also", re.IGNORECASE)
_NOT_A_LETTER = re.compile(r"[\W_]+")


class ObjectDoc(NamedTuple):
    """A class or function and the two parts of its docstring."""

    name: str
    kind: str
    summary: str
    body: str


def documented_objects(module: str, path: Path) -> list[ObjectDoc] | None:
    """Read the usable docstrings of a module's public classes, methods and functions.

    Args:
        module: the module's dotted name, which begins the name of every object in it.
        path: its source file.

    Returns:
        One entry for each usable docstring, in the order of the file; None for a file that cannot
        be read or parsed.
    """
    try:
        source = path.read_bytes()
        if not any(quotes in source for quotes in _QUOTES):
            return []
        definitions = list(_public_definitions(_parse(source).body, module))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return [doc for name, node in definitions if (doc := _object_doc(name, node))]


def split_docstring(docstring: str) -> tuple[str, str]:
    """Split a dedented docstring at the first blank line or section heading.

    Returns:
        The summary on one line, and the body cut to `MAXIMUM_BODY_CHARACTERS`.
    """
    # A docstring may spell lone surrogates as escapes; no file could hold them.
    text = docstring.encode(errors="ignore").decode()
    summary, *rest = _END_OF_SUMMARY.split(text, maxsplit=1)
    body = "".join(rest).strip()
    return " ".join(summary.split()), body[:MAXIMUM_BODY_CHARACTERS].rstrip()


def is_usable(name: str, summary: str, body: str) -> bool:
    """Whether both parts say something: long enough, no bare signature, no echo of the name."""
    return (
        MINIMUM_SUMMARY_WORDS <= len(summary.split()) <= MAXIMUM_SUMMARY_WORDS
        and len(body.split()) >= MINIMUM_BODY_WORDS
        and not _NOT_A_SUMMARY.match(summary)
        and not _NOT_A_BODY.match(body)
        and _letters(summary) != _letters(name.rpartition(".")[2])
    )


def _letters(text: str) -> str:
    return _NOT_A_LETTER.sub("", text).lower()


def _parse(source: bytes) -> ast.Module:
    """Parse, keeping the warnings about other people's escape sequences to ourselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def _public_definitions(
    nodes: Iterable[ast.stmt], prefix: str
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield (dotted name, node) for each public definition, those under if and try included."""
    for node in nodes:
        if isinstance(node, ast.If | ast.Try):
            yield from _public_definitions([*node.body, *node.orelse], prefix)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_"):
                continue
            name = f"{prefix}.{node.name}"
            yield name, node
            if isinstance(node, ast.ClassDef):
                yield from _public_definitions(node.body, name)


def _object_doc(
    name: str, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
) -> ObjectDoc | None:
    """The node's docstring in two parts, or None where that is missing or not usable."""
    summary, body = split_docstring(ast.get_docstring(node) or "")
    if not is_usable(name, summary, body):
        return None
    kind = "class" if isinstance(node, ast.ClassDef) else "function"
    return ObjectDoc(name, kind, summary, body)
