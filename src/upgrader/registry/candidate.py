"""A class that claims to be a command, with its source: not yet checked."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upgrader.command import CommandKind
from upgrader.errors import LoadingError
from upgrader.registry.decorators import Declaration, declarations_of
from upgrader.registry.place import is_same_file, place_of
from upgrader.registry.source import ClassSource, SourceFile

_INSTANCE_KINDS = {"fast": CommandKind.FAST, "slow": CommandKind.SLOW}


@dataclass(frozen=True, eq=False)
class Candidate:
    """A decorated class (or, by mistake, a function) and where it stands.

    Attributes:
        declarations: what its decorators say, innermost first; at least one.
        file: its file; None where the source cannot be read.
        source: its class statement; None where it cannot be found.
    """

    target: type[Any]
    declarations: tuple[Declaration, ...]
    file: SourceFile | None
    source: ClassSource | None

    @classmethod
    def of(cls, target: type[Any], file: SourceFile | None = None) -> Candidate:
        """Take a decorated class, in its file where that is known already."""
        declarations = declarations_of(target)
        file = file or _file_of(target)
        source = file.find(target.__qualname__, _line(file, declarations)) if file else None
        return cls(target, declarations, file, source)

    @property
    def declaration(self) -> Declaration:
        """The innermost declaration."""
        return self.declarations[0]

    @property
    def kind(self) -> CommandKind | None:
        """The kind of command; None where an instance command's type is unknown."""
        if self.declaration.decorator == "workspace_command":
            return CommandKind.WORKSPACE
        declared = self.declaration.type
        return _INSTANCE_KINDS.get(declared) if isinstance(declared, str) else None

    @property
    def place(self) -> str:
        """The class statement as `file:line`; where that is not known, the decorator."""
        if self.file is None or self.source is None:
            return place_of(self.declaration.file, self.declaration.line)
        return self.file.place(self.source.node.lineno)

    @property
    def decorator_place(self) -> str:
        """The decorator as `file:line`; where a helper in another file applies it, the class statement."""
        line = _line(self.file, self.declarations) if self.file else None
        return self.place if self.file is None or line is None else self.file.place(line)

    def place_of_method(self, name: str) -> str:
        """The method as `file:line`; where it is inherited or no plain function, the class statement."""
        code = getattr(vars(self.target).get(name), "__code__", None)
        if self.file is None or code is None or not is_same_file(code.co_filename, self.file.path):
            return self.place
        return self.file.place(code.co_firstlineno)


def _line(file: SourceFile | None, declarations: tuple[Declaration, ...]) -> int | None:
    if file is None or not declarations or not is_same_file(declarations[0].file, file.path):
        return None
    return declarations[0].line


def _file_of(target: type[Any]) -> SourceFile | None:
    module = sys.modules.get(target.__module__)
    name = inspect.getsourcefile(module) if getattr(module, "__file__", None) and module else None
    try:
        return SourceFile.read(Path(name)) if name else None
    except LoadingError:
        return None
