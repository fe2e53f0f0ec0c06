"""A way down that only says that there is none: read from the source, so that nothing runs before it is known."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from upgrader.registry.checksum import without_docstring
from upgrader.registry.place import is_same_file

if TYPE_CHECKING:
    from upgrader.registry.candidate import Candidate

_SAYING_SO = frozenset({"IrreversibleError", "NotImplementedError"})


def why_irreversible(candidate: Candidate, method: str) -> str | None:
    """Give what the method says is lost, if raising that is the first thing it does; None where it is not.

    The text is "" where the exception has none that can be read. A method of a base class is read, too, where
    that stands in the same file.
    """
    function = _function(candidate, method)
    if function is None:
        return None
    match without_docstring(function.body):
        case [ast.Raise(exc=ast.Call(func=raised, args=arguments)), *_] if _name(raised) in _SAYING_SO:
            return _text(arguments)
        case [ast.Raise(exc=ast.expr() as raised), *_] if _name(raised) in _SAYING_SO:
            return ""
    return None


def _function(candidate: Candidate, method: str) -> ast.FunctionDef | None:
    owner = next((base for base in candidate.target.__mro__ if method in vars(base)), None)
    code = getattr(vars(owner).get(method), "__code__", None) if owner else None
    if owner is None or code is None or candidate.file is None or candidate.source is None:
        return None
    if not is_same_file(code.co_filename, candidate.file.path):
        return None
    source = candidate.source
    if owner is not candidate.target:
        found = candidate.file.find(owner.__qualname__, code.co_firstlineno)
        if found is None:
            return None
        source = found
    # Of several of one name the last one counts, as it does for Python.
    named = [one for one in source.node.body if isinstance(one, ast.FunctionDef) and one.name == method]
    return named[-1] if named else None


def _name(raised: ast.expr) -> str:
    """Give the name of an exception, whatever module it is written with."""
    match raised:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _text(arguments: list[ast.expr]) -> str:
    match arguments:
        case [ast.Constant(value=str(text)), *_]:
            return " ".join(text.split())
    return ""
