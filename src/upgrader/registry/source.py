"""A source file: read, parsed, and asked where its classes stand."""

from __future__ import annotations

import ast
import importlib.util
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from upgrader.errors import LoadingError, Problem
from upgrader.registry.place import place_of

_SCOPES = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True, eq=False)
class ClassSource:
    """One class statement.

    Attributes:
        qualname: as the class itself will say it, `Outer.Inner` or `make.<locals>.Inner`.
        siblings: the statements of the block that it stands in.
    """

    qualname: str
    node: ast.ClassDef
    siblings: tuple[ast.stmt, ...]

    @property
    def is_top_level(self) -> bool:
        """Whether it stands in no other class or function."""
        return "." not in self.qualname

    def spans(self, line: int) -> bool:
        """Tell whether the line lies in the statement or its decorators."""
        first = min([self.node.lineno, *(decorator.lineno for decorator in self.node.decorator_list)])
        return first <= line <= (self.node.end_lineno or first)


@dataclass(frozen=True, eq=False)
class SourceFile:
    """A Python file and its syntax tree."""

    path: Path
    tree: ast.Module

    @classmethod
    def read(cls, path: Path) -> SourceFile:
        """Read and parse a file.

        Raises:
            LoadingError: it cannot be read, is not text, or is no Python.
        """
        try:
            return cls(path, _parse(_decode(_content(path)), path))
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise LoadingError([_not_utf8(path, line)]) from error
        except SyntaxError as error:
            raise LoadingError([syntax_problem(error, path)]) from error
        except (OSError, ValueError, RecursionError, MemoryError) as error:
            raise LoadingError([_unreadable(path, error)]) from error

    @cached_property
    def classes(self) -> tuple[ClassSource, ...]:
        """All class statements, at any depth, in reading order."""
        return tuple(_classes(self.tree))

    def find(self, qualname: str, line: int | None = None) -> ClassSource | None:
        """Find a class by its qualified name; of several the one that `line` lies in, else the last."""
        named = [found for found in self.classes if found.qualname == qualname]
        spanning = [found for found in named if line is not None and found.spans(line)]
        return next(reversed(spanning or named), None)

    def place(self, line: int | None = None) -> str:
        """Name the file, or a line of it."""
        return place_of(self.path, line)


def syntax_problem(error: SyntaxError, path: Path) -> Problem:
    """Say what Python does not understand, where, and the text of it."""
    text = f": {error.text.strip()}" if error.text and error.text.strip() else ""
    return Problem(
        f"this is not valid Python ({error.msg}){text}",
        (place_of(error.filename or path, error.lineno),),
        "correct the syntax",
    )


def _content(path: Path) -> bytes:
    if not path.is_file():  # a pipe would be waited for without end
        raise OSError("it is not a file, or a link that leads nowhere")
    return path.read_bytes()


def _decode(content: bytes) -> str:
    try:
        return importlib.util.decode_source(content)
    except SyntaxError:
        content.decode()  # without a declaration it is to be UTF-8, and this tells where it is not
        raise


def _parse(text: str, path: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the import itself tells them; once is enough
        return ast.parse(text, filename=str(path))


def _not_utf8(path: Path, line: int) -> Problem:
    return Problem("this file is not UTF-8 text", (place_of(path, line),), "save it as UTF-8")


def _unreadable(path: Path, error: BaseException) -> Problem:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Problem(f"this file cannot be read: {reason}", (place_of(path),), "mend the file, or take it away")


def _classes(tree: ast.Module) -> Iterator[ClassSource]:
    # A stack instead of recursion, because an expression may be nested deeper than Python calls may be.
    stack: list[tuple[ast.AST, str, tuple[ast.stmt, ...]]] = [(tree, "", ())]
    while stack:
        node, prefix, siblings = stack.pop()
        inner = prefix
        if isinstance(node, ast.ClassDef):
            yield ClassSource(prefix + node.name, node, siblings)
            inner = f"{prefix}{node.name}."
        elif isinstance(node, _SCOPES):
            inner = f"{prefix}{node.name}.<locals>."
        stack.extend(reversed([(child, inner, block) for child, block in _statements(node)]))


def _statements(node: ast.AST) -> Iterator[tuple[ast.AST, tuple[ast.stmt, ...]]]:
    """Give the statements below a node, each with the block it stands in; expressions hold no class."""
    for _, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else ():
            if isinstance(child, ast.stmt):
                yield child, tuple(value)
            elif isinstance(child, (ast.excepthandler, ast.match_case)):
                yield child, ()
