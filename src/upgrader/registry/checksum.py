"""The checksum of a command: SHA-256 over its class's syntax tree.

Blind to comments, docstrings, layout and the Python version: the tree is written down in a form of our own,
because what `ast.dump` and `ast.unparse` write differs between versions. Decorators and their arguments
count, except those that set a timeout: how patient a command is does not change what it does. Only the class
counts: what it imports or inherits does not.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from upgrader.model import TIMEOUT_NAMES

PREFIX = "v1:"

# Not part of the meaning: load or store follows from the place, `u""` is `""`, type comments are comments.
_BLIND_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_WITH_DOCSTRING = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class _Mark:
    """A piece of the written form, apart from the names and constants of the tree."""

    text: str


_CLOSING = _Mark(")")


def checksum_of(node: ast.ClassDef) -> str:
    """Give the checksum of a class: `v1:` and 64 hexadecimal digits."""
    return PREFIX + hashlib.sha256("".join(canonical_pieces(node)).encode("ascii")).hexdigest()


def checksum_of_name(name: str) -> str:
    """Give the checksum of a command whose source cannot be read: over its full name, so it never changes."""
    return PREFIX + hashlib.sha256(f"name:{name}".encode()).hexdigest()


def canonical_pieces(node: ast.AST) -> Iterator[str]:
    """Write a syntax tree down, piece by piece, in ASCII."""
    # A stack instead of recursion: a sum of a thousand strings is a tree a thousand deep.
    stack: list[object] = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, _Mark):
            yield item.text
        elif isinstance(item, ast.AST):
            stack.extend(reversed(_parts(item)))
        elif isinstance(item, list):
            stack.extend(reversed([_Mark("["), *item, _Mark("]")]))
        else:
            yield _constant(item)


def _parts(node: ast.AST) -> list[object]:
    opening, fields = _form(type(node).__name__, node._fields)
    parts: list[object] = [opening]
    for field, mark in fields:
        value = _value(node, field)
        # Absent and empty are the same, so that a field that a later Python adds changes nothing.
        if value is not None and value != []:
            parts += (mark, value)
    parts.append(_CLOSING)
    return parts


@cache
def _form(node_type: str, fields: tuple[str, ...]) -> tuple[_Mark, tuple[tuple[str, _Mark], ...]]:
    """Give what opens a node of this type, and its fields in order, each with what introduces it."""
    seen = sorted(set(fields) - _BLIND_FIELDS)
    return _Mark(f"({node_type}"), tuple((field, _Mark(f" {field}=")) for field in seen)


def _value(node: ast.AST, field: str) -> object:
    value: object = getattr(node, field, None)
    if field == "body" and isinstance(node, _WITH_DOCSTRING):
        return without_docstring(node.body)
    if field == "decorator_list" and isinstance(node, ast.ClassDef):
        return [_without_timeouts(decorator) for decorator in node.decorator_list]
    if field == "values" and isinstance(node, ast.JoinedStr):
        return _merged(node.values)
    if field == "format_spec" and isinstance(value, ast.JoinedStr) and not _merged(value.values):
        return None
    return value


def without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    """Give the statements of a class or function without the docstring; `pass` where nothing is left."""
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest or [ast.Pass()]
    return body


def _without_timeouts(decorator: ast.expr) -> ast.expr:
    if not isinstance(decorator, ast.Call):  # whatever name it was imported under
        return decorator
    kept = [keyword for keyword in decorator.keywords if keyword.arg not in TIMEOUT_NAMES]
    return ast.Call(func=decorator.func, args=decorator.args, keywords=kept)


def _merged(values: Iterable[ast.expr]) -> list[ast.expr]:
    """Join neighbouring literal parts of an f-string: where they are cut differs between Python versions."""
    merged: list[ast.expr] = []
    for value in values:
        parts = _merged(value.values) if isinstance(value, ast.JoinedStr) else [value]
        for part in parts:
            _append(merged, part)
    return merged


def _append(merged: list[ast.expr], part: ast.expr) -> None:
    if not isinstance(part, ast.Constant):
        merged.append(part)
        return
    before = merged[-1] if merged else None
    if isinstance(before, ast.Constant):
        merged[-1] = ast.Constant(value=str(before.value) + str(part.value))
    elif part.value != "":
        merged.append(part)


def _constant(value: object) -> str:
    # hex(): the decimal text of a huge integer is refused.
    # ascii(): what repr() escapes depends on Python's version of Unicode.
    text = hex(value) if type(value) is int else ascii(value)
    return f"<{type(value).__name__} {text}>"
