"""A directory of commands as a package in `sys.modules`."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from upgrader.errors import LoadingError, Problem, Terminated
from upgrader.registry.failure import import_problems
from upgrader.registry.place import is_same_file

if TYPE_CHECKING:
    from upgrader.registry.scan import ScannedFile

PREFIX = "_upgrader_commands_"


@dataclass(frozen=True, slots=True)
class CommandPackage:
    """A directory and the name under which it is a package.

    `from ._shared import x` works in its modules, folders without `__init__.py` included, because every
    folder becomes a package with a search path of its own; `sys.path` is not touched.

    Attributes:
        problems: what was found wrong with the `__init__.py` files of its folders.
    """

    name: str
    directory: Path
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def private(cls, directory: Path) -> CommandPackage:
        """Take a directory under a name of its own.

        The name follows from the path, so an object pickled in one process can be read in another that has
        loaded the same directory.
        """
        digest = hashlib.sha256(os.fsencode(os.path.realpath(directory))).hexdigest()[:16]
        return cls(PREFIX + digest, directory)

    @property
    def is_private(self) -> bool:
        """Whether it is a directory under a private name, not a package that applications import too."""
        return self.name.startswith(PREFIX)

    def forget(self) -> None:
        """Take out of `sys.modules` what an earlier load left there."""
        for name in list(sys.modules):
            if name == self.name or name.startswith(self.name + "."):
                del sys.modules[name]

    def load(self, file: ScannedFile) -> ModuleType:
        """Import one file, unless another module has imported it already.

        Raises:
            LoadingError: it cannot be imported.
        """
        parent = self._folder(file.folders)
        name = f"{parent.__name__}.{_module_name(file.path.stem)}"
        if name in sys.modules and not is_same_file(sys.modules[name].__file__ or "", file.path):
            name += "~"  # a folder of the same name stands beside the file
        if name in sys.modules:
            return sys.modules[name]
        try:
            module = _import(_spec(name, file.path))
        except (KeyboardInterrupt, Terminated):
            raise
        except BaseException as error:
            # SystemExit and the like too: a module must not end the program
            raise LoadingError(import_problems(error, file.path, self.directory)) from error
        setattr(parent, name.rpartition(".")[2], module)
        return module

    def _folder(self, folders: tuple[str, ...]) -> ModuleType:
        """Give the package of a folder, with all packages above it."""
        name, directory = self.name, self.directory
        package = self._package(name, directory)
        for folder in folders:
            parent, directory = package, directory / folder
            package = self._package(f"{parent.__name__}.{_module_name(folder)}", directory)
            setattr(parent, package.__name__.rpartition(".")[2], package)
        return package

    def _package(self, name: str, directory: Path) -> ModuleType:
        if name in sys.modules and str(directory) not in getattr(sys.modules[name], "__path__", ()):
            name += "~"  # a file of the same name, or another portion of a package in several places
        if name in sys.modules:
            return sys.modules[name]
        init = directory / "__init__.py"
        if not init.is_file():
            return _import(_folder_spec(name, directory))
        try:
            return _import(_spec(name, init, directory))
        except (KeyboardInterrupt, Terminated):
            raise
        except BaseException as error:
            self.problems.extend(import_problems(error, init, self.directory))
        # An empty package in its place, so that what is wrong in the modules below is told too.
        return _import(_folder_spec(name, directory))


class _Loader(SourceFileLoader):
    """Reads the source each time: a bytecode file knows a second and a size, an edit may change neither."""

    def path_stats(self, path: str) -> Mapping[str, Any]:
        raise OSError(f"no bytecode is kept for {path}")


def _spec(name: str, path: Path, package: Path | None = None) -> ModuleSpec:
    spec = importlib.util.spec_from_file_location(
        name,
        path,
        loader=_Loader(name, str(path)),
        submodule_search_locations=[str(package)] if package else None,
    )
    assert spec is not None
    return spec


def _folder_spec(name: str, directory: Path) -> ModuleSpec:
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [str(directory)]
    return spec


def _import(spec: ModuleSpec) -> ModuleType:
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    if spec.loader is None or not isinstance(spec.loader, _Loader):
        return module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(spec.name, None)
        raise
    return sys.modules.get(spec.name, module)


def _module_name(stem: str) -> str:
    # A dot would part the name; nobody can write `~` in an import, so nothing else is called that.
    return stem.replace(".", "~")
