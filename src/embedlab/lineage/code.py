"""Digests of the code that a function uses, at the granularity of definitions.

Comments, docstrings and the layout of code do not count.
"""

import ast
import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedlab.digests import value_digest
from embedlab.lineage.reachable import reachable

PACKAGE = __name__.partition(".")[0]

# A module and the name of a definition in it.
Definition = tuple[str, str]


@dataclass(frozen=True)
class Module:
    """The top-level definitions of a module, and the names that it imports from this package."""

    name: str
    definitions: dict[str, list[ast.stmt]]
    imports: dict[str, Definition]


def code_digest(function: Callable[..., Any]) -> str:
    """SHA-256 of a module-level function with all the definitions of this package that it uses."""
    return _digest_of((function.__module__, function.__qualname__.partition(".")[0]))


@functools.cache
def _digest_of(start: Definition) -> str:
    return value_digest({".".join(one): _text_of(one) for one in reachable(start, _used_by)})


@functools.cache
def _used_by(definition: Definition) -> tuple[Definition, ...]:
    """The definitions that one definition names."""
    module = _module(definition[0])
    used: dict[Definition, None] = {}
    for statement in module.definitions.get(definition[1], []):
        nodes = list(ast.walk(statement))
        imports = module.imports | dict(_imports(nodes))
        for name in {node.id for node in nodes if isinstance(node, ast.Name)}:
            if name in imports:
                used |= dict.fromkeys(_resolve(*imports[name]))
            elif name in module.definitions:
                used[module.name, name] = None
    return tuple(used)


def _resolve(module: str, name: str) -> Iterator[Definition]:
    """The definition that an import names; of a module, all of them."""
    if _path(f"{module}.{name}") is None:
        yield module, name
        return
    found = _module(f"{module}.{name}")
    yield from ((found.name, definition) for definition in found.definitions)


@functools.cache
def _text_of(definition: Definition) -> str:
    statements = _module(definition[0]).definitions.get(definition[1], [])
    return "\n".join(ast.unparse(_without_docstrings(statement)) for statement in statements)


@functools.cache
def _module(name: str) -> Module:
    path = _path(name)
    body = ast.parse(path.read_text(encoding="utf-8")).body if path else []
    definitions: dict[str, list[ast.stmt]] = {}
    for statement in body:
        for defined in _defined_names(statement):
            definitions.setdefault(defined, []).append(statement)
    return Module(name, definitions, dict(_imports(body)))


def _defined_names(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


def _imports(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, Definition]]:
    """What nodes import from this package: the name here, and what it stands for."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == PACKAGE:
            for alias in node.names:
                yield alias.asname or alias.name, (str(node.module), alias.name)


@functools.cache
def _path(name: str) -> Path | None:
    """The file of a module of this package; None if there is no such module."""
    path = _package_folder().joinpath(*name.split(".")[1:])
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _package_folder() -> Path:
    return Path(__file__).parents[1]


def _without_docstrings(statement: ast.stmt) -> ast.stmt:
    for node in ast.walk(statement):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            body[0] = ast.Pass()  # type: ignore[index]
    return statement
