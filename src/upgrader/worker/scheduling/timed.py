"""A synchronous job with a timeout: run in a child process, which is killed when its time is over.

A thread cannot be ended. The child is a fresh interpreter (spawned, never forked: libpq does not survive a fork), in
a process group of its own, so that what the job has started is ended with it.
"""

from __future__ import annotations

import json
import logging
import math
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from upgrader.errors import UpgraderError
from upgrader.worker.scheduling.jobs import JobOrigin
from upgrader.worker.scheduling.timed_child import FRAME, LENGTH, Order

_PROGRAM = (
    "import json, sys; sys.path += json.loads(sys.argv[1])['path'];"
    " from upgrader.worker.scheduling.timed_child import main; main()"
)
"""The parent's path comes last until the child's own modules are loaded, and the working directory (-P) not at all: a
project may have a `logging` or an `upgrader` of its own, of which the worker takes no notice."""
_LOOK_SECONDS = 0.2
_START_SECONDS = 60.0  # that long it may take to load the job's module
_BEGUN = ("begun", None)
_prints = logging.getLogger("upgrader.worker.output")


class JobTimeoutError(UpgraderError):
    """A job took longer than its timeout, and was ended."""


class ChildFailedError(UpgraderError):
    """A job failed in its child process; the message is what was raised there."""


class TimedRuns:
    """Starts children, and can end all that are there."""

    def __init__(self) -> None:
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    def run(
        self,
        origin: JobOrigin,
        *,
        timeout_seconds: float,
        job: dict[str, Any],
        stop: threading.Event,
        needs_result: bool = False,
    ) -> Any:
        """Run a job in a child and give what it returned.

        Args:
            timeout_seconds: from when the job's function is called; loading its module is no part of it.
            job: name, attempt, attempts and due, for `current_job` in the child.
            stop: set when the job should come to its end, which it may ask for there.

        Raises:
            JobTimeoutError: it took too long, and was killed.
            ChildFailedError: it failed with something that cannot be handed over, or its process died.
            Exception: whatever else it raised; SystemExit too.
        """
        with _Child(origin, job=job, needs_result=needs_result) as child:
            self._enter(child.process)
            try:
                ending = child.ending(timeout_seconds, stop)
            finally:
                with self._lock:
                    self._children.discard(child.process)
        if ending is None and not child.has_begun:
            raise JobTimeoutError(
                f"job {job['name']!r} was ended before it began: its module took too long to load",
                hint="let the module do less as it is imported",
            )
        if ending is None:
            raise JobTimeoutError(
                f"job {job['name']!r} was ended after {timeout_seconds:g} s",
                hint="give it a longer timeout, or less to do at a time",
            )
        if ending[0] == "died" and self._is_closed:
            raise JobTimeoutError(f"job {job['name']!r} was ended: the worker ends")
        return _result(*ending, needs_result=needs_result)

    def kill(self) -> None:
        """End all that are there; those that begin later are ended at once."""
        with self._lock:
            self._is_closed = True
            children = list(self._children)
        for process in children:
            _kill(process)

    def _enter(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._children.add(process)
            is_closed = self._is_closed
        if is_closed:
            _kill(process)


class _Child:
    """One child process, from its start to its end."""

    def __init__(self, origin: JobOrigin, *, job: dict[str, Any], needs_result: bool) -> None:
        self._control = os.pipe()
        self._messages = os.pipe()
        order = Order(
            origin=asdict(origin),
            path=sys.path,
            control=self._control[0],
            messages=self._messages[1],
            job=job,
            level=logging.root.level,
            needs_result=needs_result,
        )
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, json.dumps(asdict(order))],
                stdin=subprocess.DEVNULL,
                stdout=2,  # what it prints past Python is for people, as the parent's
                pass_fds=(order.control, order.messages),
                start_new_session=True,
            )
        except BaseException:  # no more processes, no more memory: the next tick tries again
            os.close(self._control[1])
            os.close(self._messages[0])
            raise
        finally:
            os.close(self._control[0])
            os.close(self._messages[1])
        self.has_begun = self._is_asked_to_stop = False
        self._read = bytearray()
        self._parts: dict[tuple[int, int], bytearray] = {}

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._control[1])
        os.close(self._messages[0])
        self._end()

    def _end(self) -> int:
        """End it, with all that it has started, and give its exit code."""
        # Its number is nobody else's as long as nobody has asked for its end.
        if self.process.returncode is None:
            _kill(self.process)
        return self.process.wait()

    def _has_ended(self) -> bool:
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def ending(self, timeout_seconds: float, stop: threading.Event) -> tuple[str, Any] | None:
        """Give how the job ended; None where its time was over first: it is killed then."""
        deadline = time.monotonic() + max(timeout_seconds, _START_SECONDS)
        waiting = select.poll()
        waiting.register(self._messages[0], select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                _kill(self.process)
                return None
            if stop.is_set():
                self._ask_to_stop()
            has_ended = self._has_ended()
            if waiting.poll(0 if has_ended else math.ceil(1_000 * min(left, _LOOK_SECONDS))):
                data = os.read(self._messages[0], 65_536)
                if data:
                    self._read += data
                    ending = self._take()
                    if ending == _BEGUN:
                        self.has_begun = True
                        deadline, ending = time.monotonic() + timeout_seconds, self._take()
                    if ending is not None:
                        return ending
                    continue
            if has_ended:
                return "died", (None, _death(self._end()), "")

    def _ask_to_stop(self) -> None:
        if self._is_asked_to_stop:
            return
        self._is_asked_to_stop = True
        with suppress(BrokenPipeError):  # it has just ended
            os.write(self._control[1], b".")

    def _take(self) -> tuple[str, Any] | None:
        """Pass on what it printed and logged; give its ending where that has come."""
        while (message := self._message()) is not None:
            kind, content = message
            match kind:
                case "log":
                    record = logging.makeLogRecord(content)
                    logger = logging.getLogger(record.name)
                    if logger.isEnabledFor(record.levelno):
                        logger.handle(record)
                case "print":
                    _prints.info("%s", content)
                case _:
                    return kind, content
        return None

    def _message(self) -> tuple[str, Any] | None:
        """Give the next message that is there whole; parts of several may have come in turns."""
        while len(self._read) >= FRAME.size:
            process, thread, size = FRAME.unpack_from(self._read)
            end = FRAME.size + size
            if len(self._read) < end:
                return None
            part = self._parts.setdefault((process, thread), bytearray())
            part += self._read[FRAME.size : end]
            del self._read[:end]
            (length,) = LENGTH.unpack_from(part)
            if len(part) == LENGTH.size + length:
                del self._parts[process, thread], part[: LENGTH.size]
                message: tuple[str, Any] = pickle.loads(part)
                return message
        return None


def _result(kind: str, content: Any, *, needs_result: bool) -> Any:
    if kind == "done":
        return _handed_over(content, is_needed=needs_result)
    pickled, text, trace = content
    error: BaseException
    try:
        error = pickle.loads(pickled) if pickled is not None else ChildFailedError(text)
    except Exception:  # a class that is only there in the child
        error = ChildFailedError(text)
    if not isinstance(error, Exception | SystemExit):
        error = ChildFailedError(text)
    if trace:
        error.add_note(f"in the child process: {trace.rstrip()}")
    raise error


def _handed_over(content: bytes, *, is_needed: bool) -> Any:
    try:
        return pickle.loads(content)
    except Exception as error:  # exceptions above all: many want more to be made of than they hand on
        if not is_needed:  # the job has done its work: nobody begins it anew for a value that nobody reads
            return None
        text = f"what it returned cannot be handed over: {type(error).__name__}: {error}"
        raise ChildFailedError(text) from error


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _death(code: int) -> str:
    if code < 0:
        return f"its process was ended by {_signal_name(-code)}"
    return f"its process ended by itself, with exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most of the real-time signals have none
        return f"signal {number}"
