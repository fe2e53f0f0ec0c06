"""From directories and packages to a registry."""

from __future__ import annotations

import ast
import importlib
import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from upgrader.errors import LoadingError, Problem
from upgrader.registry.candidate import Candidate
from upgrader.registry.decorators import declarations_of, instance_command, workspace_command
from upgrader.registry.location import packages_at
from upgrader.registry.registry import Registry, merge
from upgrader.registry.scan import ScannedFile, scan
from upgrader.registry.source import ClassSource, SourceFile
from upgrader.registry.validation import command_of, problems_of

if TYPE_CHECKING:
    from upgrader.registry.bundle import LoadedCommand
    from upgrader.registry.package import CommandPackage

_TIMESTAMPED = re.compile(r"(?P<timestamp>[0-9]+)(?![^_.-])")
_DECORATORS = (instance_command, workspace_command)

# Loading replaces modules in sys.modules: two threads that load one directory take turns. Reentrant, because
# a command module may itself load another directory.
_lock = threading.RLock()


def load(locations: Sequence[str | Path], *, base: Path) -> Registry:
    """Load every command module of the locations and put the commands together. Prints nothing.

    A directory is loaded anew each time: its modules and classes are not those of an earlier call. A package
    is imported as usual, once in a process. An empty directory gives an empty registry.

    Args:
        locations: directories, relative to `base`, and importable packages.

    Raises:
        LoadingError: anything is wrong; it carries all problems of all files.
    """
    found = _Findings()
    with _lock:
        importlib.invalidate_caches()
        for location in locations:
            found.take_location(location, base)
    return merge(found.commands, found.problems)


def registry_of(classes: Iterable[type]) -> Registry:
    """Put decorated classes together that no file was loaded for; for tests and embedding.

    Raises:
        LoadingError: one is no command, or they collide.
    """
    found = _Findings()
    for cls in classes:
        if declarations_of(cls):
            found.take_candidate(Candidate.of(cls))
        else:
            message = f"{cls.__qualname__} is no command"
            found.problems.append(Problem(message, (cls.__module__,), "decorate the class itself"))
    return merge(found.commands, found.problems)


@dataclass
class _Findings:
    """What has been found so far: commands, and what is wrong elsewhere."""

    commands: list[LoadedCommand] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    private: set[str] = field(default_factory=set)

    def take_location(self, location: str | Path, base: Path) -> None:
        try:
            packages = packages_at(location, base=base)
        except LoadingError as error:
            self.problems.extend(error.problems)
            return
        for package in packages:
            self.make_fresh(package)
            scanned = scan(package.directory)
            self.problems.extend(scanned.problems)
            for file in scanned.files:
                self.take_file(package, file)
            self.problems.extend(package.problems)

    def make_fresh(self, package: CommandPackage) -> None:
        # once in a load: a directory that is named twice keeps the modules that its first mention brought
        if package.is_private and package.name not in self.private:
            self.private.add(package.name)
            package.forget()

    def take_file(self, package: CommandPackage, file: ScannedFile) -> None:
        real = os.path.realpath(file.path)
        if real in self.seen:  # a location inside of another, or given twice
            return
        self.seen.add(real)
        try:
            source = SourceFile.read(file.path)
            module = package.load(file)
        except LoadingError as error:
            self.problems.extend(error.problems)
            return
        candidates = [Candidate.of(target, source) for target in _declared_in(module)]
        hidden = list(_hidden_problems(source, module, candidates))
        self.problems.extend(hidden)
        if not candidates and not hidden:
            self.problems.append(_no_command(source))
        for candidate in candidates:
            self.problems.extend(_file_name_problems(source, candidate))
            self.take_candidate(candidate)

    def take_candidate(self, candidate: Candidate) -> None:
        problems = list(problems_of(candidate))
        self.problems.extend(problems)
        if not problems:
            self.commands.append(command_of(candidate))


def _declared_in(module: ModuleType) -> list[type]:
    """Give what is decorated and defined in the module itself, each once, in order."""
    found = {
        id(value): value
        for value in list(vars(module).values())
        if declarations_of(value) and value.__module__ == module.__name__
    }
    return list(found.values())


def _no_command(source: SourceFile) -> Problem:
    remedy = f"decorate a class in it, or name it _{source.path.name} if it only helps others"
    return Problem("there is no command in this module", (source.place(),), remedy)


def _file_name_problems(source: SourceFile, candidate: Candidate) -> Iterator[Problem]:
    match = _TIMESTAMPED.match(source.path.stem)
    declared = candidate.declaration.timestamp
    if match is None or type(declared) is not int or int(match["timestamp"]) == declared:
        return
    yield Problem(
        f"the file's name says {match['timestamp']}, {candidate.target.__qualname__} has another timestamp",
        (candidate.decorator_place,),
        "make both the same; a file of several commands needs a name without a timestamp",
    )


def _hidden_problems(
    source: SourceFile, module: ModuleType, candidates: Sequence[Candidate]
) -> Iterator[Problem]:
    """Tell of commands that a module defines and does not keep: they would never run, in silence."""
    kept = {id(candidate.source) for candidate in candidates}
    for found in source.classes:
        if id(found) in kept or not any(_is_ours(node, module) for node in found.node.decorator_list):
            continue
        place = (source.place(found.node.lineno),)
        if not found.is_top_level:
            message = f"the command {found.qualname} stands inside of a class or function"
            yield Problem(message, place, "move it to the top level of the module")
        elif _is_redefined(found):
            message = f"the module defines {found.qualname} again: this one would never run"
            yield Problem(message, place, "give each class its own name")


def _is_redefined(found: ClassSource) -> bool:
    namesakes = [
        node
        for node in found.siblings
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == found.node.name
    ]
    return len(namesakes) > 1


def _is_ours(decorator: ast.expr, module: ModuleType) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(called, ast.Attribute):
        return called.attr in {ours.__name__ for ours in _DECORATORS}
    return isinstance(called, ast.Name) and any(vars(module).get(called.id) is ours for ours in _DECORATORS)
