"""The documented public objects of one Python source file, found without importing it."""

# Standard library only, so that the worker processes that parse files start fast.

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

# Shorter summaries ("Base class.", "See above.") name nothing to search for.
MIN_SUMMARY_WORDS = 5
# A longer first paragraph is a licence, a list of arguments or an essay.
MAX_SUMMARY_WORDS = 60
# A shorter body is a lone "Returns: None" or a reference to another page.
MIN_BODY_WORDS = 15
# Sentence encoders read 256 to 512 tokens, which are about 2,000 characters.
MAX_BODY_CHARACTERS = 2000

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

_QUOTES = (b'"""', b"'''")
_HEADING = (
    r"(?:Args|Arguments|Parameters|Params|Inputs|Attributes|Returns|Yields|Raises|Notes?"
    r"|References|Examples?|Usage|See Also):? *(?:\n|$)"
)
_END_OF_SUMMARY = re.compile(rf"\n\s*\n|\n(?={_HEADING})")
# A heading, a call signature, an argument's type, a directive, a deprecation.
_NOT_A_SUMMARY = re.compile(rf"{_HEADING}|[\w.]+(?:\(| \(`)|!!!|\.\. |deprecated", re.IGNORECASE)
_NOT_A_BODY = re.compile(r"\.\. deprecated|deprecated|\.\. seealso|see also", re.IGNORECASE)


class ObjectDoc(NamedTuple):
    """A class or function and the two parts of its docstring."""

    name: str
    kind: str
    summary: str
    body: str


def documented_objects(module: str, path: Path) -> list[ObjectDoc] | None:
    """Read the usable docstrings of a module's public classes, methods and functions.

    They are in the order of the file; None for a file that cannot be read or parsed. The dotted
    name `module` is the prefix of its objects' names.
    """
    try:
        source = path.read_bytes()
        if not any(quotes in source for quotes in _QUOTES):
            return []
        with warnings.catch_warnings():  # about invalid escape sequences in other people's code
            warnings.simplefilter("ignore")
            definitions = list(_public_definitions(ast.parse(source).body, module))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return [doc for name, node in definitions if (doc := _object_doc(name, node))]


def split_docstring(docstring: str) -> tuple[str, str]:
    r"""Split a dedented docstring at the first blank line or section heading.

    Returns:
        The summary on one line, and the body cut to `MAX_BODY_CHARACTERS`.

    Example:
        >>> split_docstring("Add two\nnumbers.\n\nBoth are floats.")
        ('Add two numbers.', 'Both are floats.')
    """
    # A docstring may escape lone surrogates, which UTF-8 files cannot store.
    text = docstring.encode(errors="ignore").decode()
    summary, *rest = _END_OF_SUMMARY.split(text, maxsplit=1)
    body = "".join(rest).strip()
    return " ".join(summary.split()), body[:MAX_BODY_CHARACTERS].rstrip()


def is_usable(name: str, summary: str, body: str) -> bool:
    """Whether both parts have content: enough words, no bare signature, not just the name."""
    return (
        MIN_SUMMARY_WORDS <= len(summary.split()) <= MAX_SUMMARY_WORDS
        and len(body.split()) >= MIN_BODY_WORDS
        and not _NOT_A_SUMMARY.match(summary)
        and not _NOT_A_BODY.match(body)
        and _letters(summary) != _letters(name.rpartition(".")[2])
    )


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()


def _public_definitions(nodes: Iterable[ast.stmt], prefix: str) -> Iterator[tuple[str, Definition]]:
    """Yield (dotted name, node) of each public definition, also those under if and try."""
    for node in nodes:
        if isinstance(node, ast.If | ast.Try):
            yield from _public_definitions([*node.body, *node.orelse], prefix)
        elif isinstance(node, Definition) and not node.name.startswith("_"):
            name = f"{prefix}.{node.name}"
            yield name, node
            if isinstance(node, ast.ClassDef):
                yield from _public_definitions(node.body, name)


def _object_doc(name: str, node: Definition) -> ObjectDoc | None:
    """The node's docstring in two parts, or None if it is missing or not usable."""
    summary, body = split_docstring(ast.get_docstring(node) or "")
    if not is_usable(name, summary, body):
        return None
    kind = "class" if isinstance(node, ast.ClassDef) else "function"
    return ObjectDoc(name, kind, summary, body)
