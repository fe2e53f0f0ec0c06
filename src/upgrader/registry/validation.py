"""What is wrong with one command class; and, where nothing is, the command.

It looks at the class and its source; no command is made or run.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from upgrader.command import CommandKind
from upgrader.errors import InvalidVersionError, Problem
from upgrader.model import Step
from upgrader.registry.bundle import LoadedCommand
from upgrader.registry.checksum import checksum_of, checksum_of_name
from upgrader.registry.irreversible import why_irreversible
from upgrader.registry.limits import step_timeouts, timeout_faults
from upgrader.registry.methods import has_method, method_faults
from upgrader.registry.names import cli_name_of, full_name, is_cli_name
from upgrader.version import ReleaseVersion

if TYPE_CHECKING:
    from upgrader.registry.candidate import Candidate

TIMESTAMP_LIMIT = 2**63 - 1


def problems_of(candidate: Candidate) -> Iterator[Problem]:
    """Tell everything that is wrong with a candidate; nothing where it is a command."""
    if not inspect.isclass(candidate.target):
        yield _problem(candidate, "is a function; a command is a class", "put the decorator on a class")
        return
    if len(candidate.declarations) > 1:
        message = "has more than one command decorator"
        yield _problem(candidate, message, "leave one; write a second class for a second command")
    yield from _version_problems(candidate)
    yield from _timestamp_problems(candidate)
    yield from _type_problems(candidate)
    yield from _flag_problems(candidate)
    yield from _timeout_problems(candidate)
    yield from _name_problems(candidate)
    yield from _class_problems(candidate)
    yield from _method_problems(candidate)


def command_of(candidate: Candidate) -> LoadedCommand:
    """Make a command of a candidate with which nothing is wrong."""
    declaration, cls = candidate.declaration, candidate.target
    kind = candidate.kind
    assert kind is not None
    version = ReleaseVersion.parse(str(declaration.version))
    timestamp = int(str(declaration.timestamp))
    name = full_name(version, cls.__name__, timestamp)
    is_workspace = kind is CommandKind.WORKSPACE
    down = "down_on_workspace" if is_workspace else "down"
    lost = why_irreversible(candidate, down)
    step = Step(
        name=name,
        kind=kind,
        version=version,
        timestamp=timestamp,
        class_name=cls.__name__,
        cli_name=_cli_name(candidate) if is_workspace else None,
        transactional=declaration.transactional is True,
        after_slow=declaration.after_slow is True,
        has_data_migration=has_method(cls, "run_data_migration"),
        reversible=has_method(cls, down) and lost is None,
        irreversible_reason=lost or "",
        checksum=checksum_of(candidate.source.node) if candidate.source else checksum_of_name(name),
        summary=_summary(candidate),
        place=candidate.place,
        timeouts=step_timeouts(declaration),
    )
    return LoadedCommand(step, cls)


def _version_problems(candidate: Candidate) -> Iterator[Problem]:
    version = candidate.declaration.version
    if not isinstance(version, str):
        message = f"has the version {version!r}, which is not a text"
        yield _decorator_problem(candidate, message, 'write it as "MAJOR.MINOR.PATCH", in quotes')
        return
    try:
        ReleaseVersion.parse(version)
    except InvalidVersionError as error:
        yield _decorator_problem(candidate, f"has a wrong version: {error.message}", error.hint)
    except ValueError as error:  # a number of thousands of digits
        yield _decorator_problem(candidate, f"has a wrong version: {error}", "write MAJOR.MINOR.PATCH")


def _timestamp_problems(candidate: Candidate) -> Iterator[Problem]:
    timestamp = candidate.declaration.timestamp
    if type(timestamp) is not int:
        message = f"has a timestamp that is not an integer: {_shown(timestamp)}"
    elif not 1 <= timestamp <= TIMESTAMP_LIMIT:
        message = f"has a timestamp that is not a positive 64-bit integer: {_shown(timestamp)}"
    else:
        return
    yield _decorator_problem(candidate, message, "write milliseconds since 1970, as `upgrader generate` does")


def _type_problems(candidate: Candidate) -> Iterator[Problem]:
    if candidate.kind is None:
        message = f"has the unknown type {_shown(candidate.declaration.type)}"
        yield _decorator_problem(candidate, message, 'write type="fast" or type="slow"')


def _flag_problems(candidate: Candidate) -> Iterator[Problem]:
    for flag in ("transactional", "after_slow"):
        value = getattr(candidate.declaration, flag)
        if not isinstance(value, bool):
            message = f"has {flag}={_shown(value)}, which is neither True nor False"
            yield _decorator_problem(candidate, message, "write True or False")


def _timeout_problems(candidate: Candidate) -> Iterator[Problem]:
    for fault in timeout_faults(candidate.declaration):
        yield _decorator_problem(candidate, fault.message, fault.remedy)


def _name_problems(candidate: Candidate) -> Iterator[Problem]:
    if candidate.kind is not CommandKind.WORKSPACE:
        return
    name = _cli_name(candidate)
    if isinstance(name, str) and is_cli_name(name):
        return
    source = "has" if candidate.declaration.name is not None else "gives by its class name"
    message = f"{source} the command-line name {_shown(name)}, which cannot be used"
    yield _decorator_problem(
        candidate, message, 'write small letters, digits and hyphens: name="backfill-skills"'
    )


def _class_problems(candidate: Candidate) -> Iterator[Problem]:
    cls = candidate.target
    if _has_plain_constructor(cls):
        return
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(cls.__abstractmethods__))
        yield _problem(candidate, f"is abstract ({missing})", "write the missing methods")
        return
    try:
        inspect.signature(cls).bind()
    except TypeError:
        message = "cannot be made without arguments"
        yield _problem(candidate, message, "give every parameter of __init__ a default, or take them away")
    except ValueError:  # a constructor written in C tells no signature
        return


def _has_plain_constructor(cls: type[Any]) -> bool:
    """Tell of nearly every command that it can be made, because a signature takes ten times as long."""
    bases = cls.__mro__[:-1]
    return type(cls) is type and not any(
        name in vars(base) for base in bases for name in ("__init__", "__new__")
    )


def _method_problems(candidate: Candidate) -> Iterator[Problem]:
    # Where the type is unknown, what both types ask for is still checked.
    kind = candidate.kind or CommandKind.FAST
    for fault in method_faults(candidate.target, kind):
        if candidate.kind is None and fault.method not in ("up", "down"):
            continue
        message = f"{_title(candidate)}: {fault.message}"
        yield Problem(message, (candidate.place_of_method(fault.method),), fault.remedy)


def _problem(candidate: Candidate, message: str, remedy: str | None) -> Problem:
    return Problem(f"{_title(candidate)} {message}", (candidate.place,), remedy)


def _decorator_problem(candidate: Candidate, message: str, remedy: str | None) -> Problem:
    return Problem(f"{_title(candidate)} {message}", (candidate.decorator_place,), remedy)


def _title(candidate: Candidate) -> str:
    return candidate.target.__qualname__


def _cli_name(candidate: Candidate) -> str | None:
    name = candidate.declaration.name
    # What is no text is handed on as it is: _name_problems reports it, and no command is made of it.
    return cli_name_of(candidate.target.__name__) if name is None else name  # type: ignore[return-value]  # said above


def _summary(candidate: Candidate) -> str:
    # From the source where there is one: `python -OO` drops docstrings, and dataclasses make one up.
    text = ast.get_docstring(candidate.source.node) if candidate.source else inspect.getdoc(candidate.target)
    return next(iter((text or "").strip().splitlines()), "").strip()


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # an integer of thousands of digits, an object that cannot say what it is
        return f"a {type(value).__name__} that cannot be printed"
    return text if len(text) <= 60 else text[:57] + "..."
