"""Signals: the first one lets a run end in good order, the second cancels, the third ends at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from upgrader.cli import exit_codes
from upgrader.errors import Terminated

if TYPE_CHECKING:
    from upgrader.runner.stop import StopToken

_HANDLED = (signal.SIGINT, signal.SIGTERM)
_FIRST = "stopping: the step in progress is finished first; once more to cancel it"
_CLEARING = "clearing the scratch databases away; once more to end at once and leave them"
_SECOND = "cancelling the step in progress; once more to end at once"


@contextmanager
def stopping_on_signals(stop: StopToken, cancel: Callable[[], None]) -> Iterator[None]:
    """Let SIGINT and SIGTERM stop a run within the block; the handlers before are put back after it.

    Args:
        cancel: asks the server to end the statement in progress.
    """
    from upgrader.runner.stop import HardStop

    process = os.getpid()

    def handle(number: int, _: FrameType | None) -> None:
        if os.getpid() != process:  # a command's child: multiprocessing ends its workers by SIGTERM
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        name = signal.Signals(number).name
        if not stop.requested:
            stop.request(name)
            _say(f"{name}: {_FIRST}")
        elif not stop.hard:
            stop.hard = True
            _say(f"{name}: {_SECOND}")
            with suppress(Exception):  # the step rolls back when the connection is closed, too
                cancel()
            raise HardStop
        else:
            os._exit(exit_codes.of_signal(stop.signal_name))

    with _handlers(handle):
        yield


@contextmanager
def ending_at_once(stop: StopToken) -> Iterator[None]:
    """Let SIGINT and SIGTERM cut short what is thrown away anyway; `finally` blocks clear it away.

    Raises:
        HardStop: a signal came, `stop` has its name. Another one while all is cleared away is told to wait; the
            third ends the program.
    """
    from upgrader.runner.stop import HardStop

    process = os.getpid()

    def handle(number: int, _: FrameType | None) -> None:
        if os.getpid() != process:  # a command's child
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif not stop.requested:
            stop.hard = True
            stop.request(signal.Signals(number).name)
            raise HardStop
        elif len(told) < 1:
            told.append(_CLEARING)
            _say(_CLEARING)
        else:
            os._exit(exit_codes.of_signal(stop.signal_name))

    told: list[str] = []
    with _handlers(handle):
        yield


@contextmanager
def ending_on_terminate() -> Iterator[None]:
    """Let SIGTERM end the program through its `finally` blocks: an embedded server is stopped by one.

    Raises:
        Terminated: it came.
    """

    def handle(_number: int, _frame: FrameType | None) -> NoReturn:
        raise Terminated

    with _handlers(handle, numbers=(signal.SIGTERM,)):
        yield


@contextmanager
def _handlers(
    handle: Callable[[int, FrameType | None], None], *, numbers: tuple[signal.Signals, ...] = _HANDLED
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    # What ignores a signal (a job in the background of a script) goes on ignoring it.
    changed = {number: old for number, old in before.items() if old is not signal.SIG_IGN}
    for number in changed:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, old in changed.items():
            signal.signal(number, old if old is not None else signal.SIG_DFL)


def _say(sentence: str) -> None:
    """Write past all buffers: the signal may have come in the middle of a write."""
    stream = sys.__stderr__
    if stream is None:  # closed when the program began: its number may be a connection's now
        return
    with suppress(OSError, ValueError):
        lead = "\n" if stream.isatty() else ""
        os.write(stream.fileno(), f"{lead}{sentence}\n".encode())
