"""The child process of a job with a timeout, which `timed` starts.

It is a fresh interpreter that loads the job's module as the worker did. It ends with its parent. What it logs and
prints, and how the job ended, goes back through a pipe as messages: their length, then a pickle. The pipe is shared
with what the job forks: messages are cut into frames that it takes whole, each with the number of its sender.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import logging
import os
import pickle
import select
import signal
import struct
import sys
import threading
import traceback
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from upgrader.worker.scheduling.jobs import JobOrigin

LENGTH = struct.Struct("!Q")
FRAME = struct.Struct("!QQI")
"""The sender, by process and thread, and how many bytes of its message follow."""
_PART_BYTES = select.PIPE_BUF - FRAME.size  # of what is no longer a pipe takes all at once
_JOBS_LOGGER = "upgrader.worker.jobs"


@dataclass(frozen=True, slots=True)
class Order:
    """What the child is told, as JSON in its arguments.

    Attributes:
        path: the parent's `sys.path`.
        control: a pipe that says when the job should come to its end, and is closed when the parent ends.
        messages: the pipe that goes back.
        job: name, attempt, attempts, and the tick that it runs for, if it does.
        level: of the parent's root logger.
        needs_result: whether the return value is a payload, so that it has to come back.
    """

    origin: dict[str, Any]
    path: list[str]
    control: int
    messages: int
    job: dict[str, Any]
    level: int
    needs_result: bool


def main() -> None:
    """Run the job that the arguments name."""
    order = Order(**json.loads(sys.argv[1]))
    sys.path[:] = order.path
    for number in (order.control, order.messages):
        os.set_inheritable(number, False)
    stop = threading.Event()
    threading.Thread(target=_heed_parent, args=(order.control, stop), daemon=True).start()
    messages = _Messages(order.messages)
    sys.stdin = io.StringIO()
    sys.stdout = sys.stderr = prints = _Prints(messages)
    logging.root.addHandler(_Records(messages))
    logging.root.setLevel(order.level)
    ending = _ending(order, messages, stop)
    prints.end_line()
    if messages.is_of_a_fork:
        return
    messages.send(ending)
    os._exit(0)  # threads that a job has left behind end with it


def _ending(order: Order, messages: _Messages, stop: threading.Event) -> tuple[str, Any]:
    try:
        result = _run(order, messages, stop)
    except BaseException as error:
        if messages.is_of_a_fork:  # its own matter, and that of the job, which may wait for its exit code
            raise
        return "failed", (_pickled(error), f"{type(error).__name__}: {error}", traceback.format_exc())
    try:
        return "done", pickle.dumps(result)
    except Exception as error:
        if not order.needs_result:
            return "done", pickle.dumps(None)
        text = f"what it returned cannot be handed over: {type(error).__name__}: {error}"
        return "failed", (None, text, "")


def _run(order: Order, messages: _Messages, stop: threading.Event) -> Any:
    from upgrader.worker.discovery import function_of, load_module
    from upgrader.worker.running import RunningJob, run_job

    logging.getLogger(_JOBS_LOGGER).disabled = True  # the parent tells of the job's end
    origin = JobOrigin(**order.origin)
    work = function_of(origin, load_module(origin))
    messages.send(("begun", None))
    due = order.job["due"]
    moment = datetime.fromisoformat(due) if due is not None else None
    job = RunningJob(**{**order.job, "due": moment, "stop": stop})

    def call() -> Any:
        result = work()
        # An `async def` within a decorator that is none: what it gives is still to be awaited.
        return asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result

    return run_job(job, call)


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


def _pickled(error: BaseException) -> bytes | None:
    try:
        data = pickle.dumps(error)
        pickle.loads(data)  # a class whose __init__ wants more than it handed on is only found out so
    except Exception:
        return None
    return data


def _heed_parent(control: int, stop: threading.Event) -> None:
    """Ask the job to stop at the parent's word; end with the parent, and with all that the job has started."""
    while os.read(control, 1):
        stop.set()
    os.killpg(0, signal.SIGKILL)


class _Messages:
    """The pipe back to the parent; threads, and processes that the job has forked, may share it."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._process = os.getpid()

    @property
    def is_of_a_fork(self) -> bool:
        """Whether this process was forked by the job: how it ends is not how the job does."""
        return os.getpid() != self._process

    def send(self, message: tuple[str, Any]) -> None:
        """Send one."""
        data = pickle.dumps(message)
        rest = memoryview(LENGTH.pack(len(data)) + data)
        while rest:
            part, rest = rest[:_PART_BYTES], rest[_PART_BYTES:]
            os.write(self._number, FRAME.pack(os.getpid(), threading.get_ident(), len(part)) + part)


class _Prints(io.TextIOBase):
    """What the job prints, each thread's line by line."""

    def __init__(self, messages: _Messages) -> None:
        self._messages = messages
        self._begun = threading.local()

    def writable(self) -> bool:
        """Whether it can be written to."""
        return True

    def write(self, text: str) -> int:
        """Take text and send whole lines."""
        *lines, self._begun.text = (getattr(self._begun, "text", "") + text).split("\n")
        for line in lines:
            self._messages.send(("print", line))
        return len(text)

    def end_line(self) -> None:
        """Send what was begun of a line, if anything was."""
        if getattr(self._begun, "text", ""):
            self.write("\n")


class _Records(logging.Handler):
    """What the job logs."""

    def __init__(self, messages: _Messages) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record, its message and its traceback as text."""
        try:
            fields = {
                name: value
                for name, value in vars(record).items()
                if isinstance(value, str | int | float | bool | None)
            }
            text = logging.Formatter().formatException(record.exc_info) if record.exc_info else None
            fields |= {"msg": record.getMessage(), "args": None, "exc_info": None, "exc_text": text}
            self._messages.send(("log", fields))
        except Exception:
            self.handleError(record)
