"""Calling a method of an author's command, and what may come out of it beside a result."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any, TypeVar

from upgrader.command import SkipWorkspace
from upgrader.errors import StepError
from upgrader.model import Direction, Step

ArgumentT = TypeVar("ArgumentT")
_forks = 0
_METHODS = {
    (False, Direction.UP): "up",
    (False, Direction.DOWN): "down",
    (True, Direction.UP): "run_on_workspace",
    (True, Direction.DOWN): "down_on_workspace",
}


def method_of(command: object, step: Step, direction: Direction) -> Callable[[Any], object]:
    """Give the method of a command that runs its step, or takes it back."""
    method: Callable[[Any], object] = getattr(command, _METHODS[step.is_workspace, direction])
    return method


def call_author(method: Callable[[ArgumentT], object], argument: ArgumentT, *, skips: bool = False) -> None:
    """Call a command's method.

    Args:
        skips: whether it may raise SkipWorkspace: it is a workspace command's.

    Raises:
        SkipWorkspace: the command puts the workspace off.
        StepError: it gave a coroutine or a generator, whose body has not run.
    """
    forks = _forks
    try:
        returned = method(argument)
    except SkipWorkspace as skip:
        _end_if_forked(forks, skip)
        if not skips:
            raise StepError(
                f"SkipWorkspace was raised by an instance command: {skip.reason}",
                hint="only a workspace command may skip, and only its own workspace",
            ) from skip
        raise
    except BaseException as error:
        _end_if_forked(forks, error)
        raise
    _end_if_forked(forks, None)
    if returned is None:
        return
    if inspect.iscoroutine(returned) or inspect.isgenerator(returned) or inspect.isasyncgen(returned):
        if not inspect.isasyncgen(returned):
            returned.close()
        raise StepError(
            f"the command gave a {type(returned).__name__}: its body has not run",
            hint="return nothing; run a coroutine with asyncio.run(), and go through a generator",
        )


def _note_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):  # Windows has no processes of this kind
    os.register_at_fork(after_in_child=_note_fork)


def _end_if_forked(forks: int, error: BaseException | None) -> None:
    """End a child process that a command has forked, at once.

    Args:
        forks: how many lay between the program and this process before.

    Were it to go on, there would be two runs on one connection; were it to end in good order, it would say
    goodbye to the server in the name of its parent.
    """
    if _forks == forks:
        return
    code = getattr(error, "code", 1)
    os._exit(0 if error is None or code is None else code if isinstance(code, int) else 1)
