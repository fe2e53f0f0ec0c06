"""The two decorators that make a class a command.

A decorator attaches a `Declaration` to the class and does nothing else: nothing is checked at import, so that
a mistake in one class hides no other. `validation` reads the declarations and tells what is wrong with them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import Literal, TypeVar

from upgrader.errors import LoadingError, Problem
from upgrader.registry.place import place_of

ATTRIBUTE = "__upgrader_command__"

InstanceType = Literal["fast", "slow"]
ClassT = TypeVar("ClassT", bound=type)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one decorator says of its class, exactly as the author wrote it and not yet checked.

    Attributes:
        type: `fast` or `slow` for an instance command, None for a workspace command.
        name: the CLI name that a workspace command asks for; None to derive one from the class.
        file: the file that the decorator stands in.
        line: its line there.
        timeouts: the arguments that override a timeout, by name.
    """

    decorator: Literal["instance_command", "workspace_command"]
    version: object
    timestamp: object
    transactional: object
    file: str
    line: int
    type: object = None
    name: object = None
    after_slow: object = False
    timeouts: Mapping[str, object] = field(default_factory=dict)


def instance_command(
    version: str,
    timestamp: int,
    type: InstanceType = "fast",  # noqa: A002 - the word that authors write
    *,
    transactional: bool = True,
    lock_timeout_seconds: float | None = None,
    lock_tries: int | None = None,
    statement_timeout_seconds: float | None = None,
    idle_in_transaction_session_timeout_seconds: float | None = None,
    concurrent_wait_seconds: float | None = None,
) -> Callable[[ClassT], ClassT]:
    """Make a class an instance command: it runs once for the database as a whole.

    Args:
        version: the release that it belongs to, MAJOR.MINOR.PATCH.
        timestamp: its place among the commands of that release and kind: a positive 64-bit integer,
            by custom the milliseconds since 1970.
        type: `fast` needs `up(connection)`; `slow` needs `run_data_migration(ctx)` too and runs on request.
        transactional: False runs it in autocommit; it must then be repeatable.
        lock_timeout_seconds: how long one statement waits for a lock. For this and the rest: None takes the
            setting of that name, 0 turns the timeout off. They are no part of the checksum.
        lock_tries: how often the transaction is tried that meets a lock timeout or a deadlock; at least 1.
        statement_timeout_seconds: how long one statement may take.
        idle_in_transaction_session_timeout_seconds: how long the transaction may stand still.
        concurrent_wait_seconds: with `transactional=False`: how long a statement may wait for other
            transactions while nobody waits behind it.
    """
    file, line = _caller()
    timeouts = {
        "lock_timeout_seconds": lock_timeout_seconds,
        "lock_tries": lock_tries,
        "statement_timeout_seconds": statement_timeout_seconds,
        "idle_in_transaction_session_timeout_seconds": idle_in_transaction_session_timeout_seconds,
        "concurrent_wait_seconds": concurrent_wait_seconds,
    }
    return _attacher(
        Declaration(
            "instance_command", version, timestamp, transactional, file, line, type=type, timeouts=timeouts
        )
    )


def workspace_command(
    version: str,
    timestamp: int,
    *,
    name: str | None = None,
    transactional: bool = True,
    after_slow: bool = False,
    lock_timeout_seconds: float | None = None,
    lock_tries: int | None = None,
    statement_timeout_seconds: float | None = None,
    idle_in_transaction_session_timeout_seconds: float | None = None,
    concurrent_wait_seconds: float | None = None,
) -> Callable[[ClassT], ClassT]:
    """Make a class a workspace command: it runs once in every workspace. It needs `run_on_workspace(ctx)`.

    Args:
        version: the release that it belongs to, MAJOR.MINOR.PATCH.
        timestamp: its place among the workspace commands of that release: a positive 64-bit integer.
        name: what `upgrader workspace run` calls it; by default the class's name in kebab-case.
        transactional: False runs it in autocommit; it must then be repeatable.
        after_slow: it waits for the slow steps of its version.
        lock_timeout_seconds: how long one statement waits for a lock. For this and the rest: None takes the
            setting of that name, 0 turns the timeout off. They are no part of the checksum.
        lock_tries: how often the transaction is tried that meets a lock timeout or a deadlock; at least 1.
        statement_timeout_seconds: how long one statement may take.
        idle_in_transaction_session_timeout_seconds: how long the transaction may stand still.
        concurrent_wait_seconds: with `transactional=False`: how long a statement may wait for other
            transactions while nobody waits behind it.
    """
    file, line = _caller()
    timeouts = {
        "lock_timeout_seconds": lock_timeout_seconds,
        "lock_tries": lock_tries,
        "statement_timeout_seconds": statement_timeout_seconds,
        "idle_in_transaction_session_timeout_seconds": idle_in_transaction_session_timeout_seconds,
        "concurrent_wait_seconds": concurrent_wait_seconds,
    }
    return _attacher(
        Declaration(
            "workspace_command",
            version,
            timestamp,
            transactional,
            file,
            line,
            name=name,
            after_slow=after_slow,
            timeouts=timeouts,
        )
    )


def declarations_of(target: object) -> tuple[Declaration, ...]:
    """Give the declarations on a class itself (or, by mistake, a function), innermost first.

    What a class inherits does not count; anything else has none.
    """
    # type() and not isinstance(): a module may hold proxies that raise when they are asked for their class
    if not issubclass(type(target), (type, FunctionType)):
        return ()
    declared: tuple[Declaration, ...] = vars(target).get(ATTRIBUTE, ())
    return declared


def _attacher(declaration: Declaration) -> Callable[[ClassT], ClassT]:
    def attach(target: ClassT) -> ClassT:
        if not issubclass(type(target), (type, FunctionType)):
            raise LoadingError([_not_a_class(target, declaration)])
        setattr(target, ATTRIBUTE, (*declarations_of(target), declaration))
        return target

    return attach


def _not_a_class(target: object, declaration: Declaration) -> Problem:
    return Problem(
        f"{declaration.decorator} stands on a {type(target).__name__}, not on a class",
        (place_of(declaration.file, declaration.line),),
        "a command is a class; put the decorator on one",
    )


def _caller() -> tuple[str, int]:
    frame = sys._getframe(2)
    return frame.f_code.co_filename, frame.f_lineno
