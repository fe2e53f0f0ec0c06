"""What the setting `commands` names: directories and importable packages."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from upgrader.errors import LoadingError, Problem, Terminated
from upgrader.registry.failure import describe
from upgrader.registry.package import CommandPackage
from upgrader.registry.place import place_of

_REMEDY = "correct the setting `commands`, or make the folder: `upgrader init`"


def packages_at(location: str | Path, *, base: Path) -> tuple[CommandPackage, ...]:
    """Find what a location names: a directory below `base` first, else an importable package.

    Raises:
        LoadingError: neither is there, or it is something else.
    """
    directory = base / os.path.expanduser(location)  # noqa: PTH111 - Path.expanduser raises for an unknown user
    if not str(location).strip():
        raise _error("is empty", location, place_of(directory), _REMEDY)
    if directory.is_dir():
        return (CommandPackage.private(directory),)
    if directory.exists():
        raise _error("is not a directory", location, place_of(directory), _REMEDY)
    if isinstance(location, Path) or not _is_dotted_name(location):
        raise _error("is not there", location, place_of(directory), _REMEDY)
    package = _imported(location, directory)
    if "." not in location and getattr(package, "__file__", None) is None:
        # a folder of that name somewhere on the import path, and nobody's package
        raise _error("is not there", location, place_of(directory), _REMEDY)
    return tuple(_folders(package, location))


def _is_dotted_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _imported(name: str, directory: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (KeyboardInterrupt, Terminated):
        raise
    except ModuleNotFoundError as error:
        # `a.b` is not there where `a` is not; another name is an import that fails inside of it
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            message = "is neither a directory nor an importable package"
            raise _error(message, name, place_of(directory), _REMEDY) from error
        raise _import_error(name, error) from error
    except BaseException as error:
        raise _import_error(name, error) from error


def _folders(package: ModuleType, name: str) -> Iterator[CommandPackage]:
    paths = [Path(path) for path in getattr(package, "__path__", ())]
    if not paths:
        place = place_of(package.__file__) if package.__file__ else name
        raise _error("is a module, not a package", name, place, "name the package that it stands in")
    for path in paths:
        if not path.is_dir():
            raise _error("is not on disk", name, place_of(path), "install the package unpacked")
        yield CommandPackage(package.__name__, path)


def _error(what: str, location: str | Path, place: str, remedy: str) -> LoadingError:
    return LoadingError([Problem(f"the commands path {str(location)!r} {what}", (place,), remedy)])


def _import_error(name: str, error: BaseException) -> LoadingError:
    traceback = error.__traceback__
    place = name
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file != __file__ and not file.startswith("<") and file != importlib.__file__:
            place = place_of(file, traceback.tb_lineno)
        traceback = traceback.tb_next
    message = f"the package {name} cannot be imported: {describe(error)}"
    return LoadingError([Problem(message, (place,), "mend the package")])
