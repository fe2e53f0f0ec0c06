"""Listens to the driver from outside and ends the run, or one of its sessions, at a boundary that was asked for.

A message to the server has two boundaries: it was sent and is not answered yet (`sent`), and its answer is
there (`answered`). A new connection has one (`connected`). Between the answer to one message and the sending of
the next nothing happens that the server could see. Where a session was terminated, that it is `gone` is written
down too: what came after it came without that session.

Several threads send messages: their boundaries are counted in the order in which they come, which is another in
each run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg

SENT, ANSWERED, CONNECTED, GONE = "sent", "answered", "connected", "gone"
SIGKILL, TERMINATE = "SIGKILL", "pg_terminate_backend"
OWN, LOCK, CONTROL, COMMAND, OTHER = "own", "lock", "control", "command", "other"
_LABEL_CHARACTERS = 500


@dataclass(frozen=True)
class Kill:
    """Where and how a run is ended.

    Attributes:
        how: `SIGKILL` of its own process, or `pg_terminate_backend` of one of its sessions.
        at: the number of the boundary, from 1; 0 where `text` says it.
        target: whose session is terminated: that of the boundary's own message, of the run lock, of the
            store (`control`), of the commands (the one opened last), or an `other` one
            of the commands, which is at work if there is one.
        role: `at` counts only boundaries of these sessions: `lock`, `control` or `command`; all where it is empty.
        text: the boundary is `sent` of the message whose text holds this.
        occurrence: the how-many-th such message, from 1.
        delay: seconds to wait at the boundary, so that the server gets to work.
    """

    how: str
    at: int = 0
    target: str = OWN
    role: str = ""
    text: str = ""
    occurrence: int = 1
    delay: float = 0.0


@dataclass(frozen=True)
class Boundary:
    """A boundary that a run came to.

    Attributes:
        text: what was sent; of a new connection its process on the server.
        moment: by the monotonic clock, which all processes share.
        pid: the session's process on the server.
    """

    number: int
    point: str
    role: str
    text: str
    is_kill: bool
    moment: float
    pid: int


def read_boundaries(log: Path) -> list[Boundary]:
    """Read what `listen` has written so far; the last line may be on its way."""
    if not log.exists():
        return []
    *lines, _ = log.read_text(encoding="utf-8").split("\n")
    return [Boundary(*json.loads(line)) for line in lines]


def listen(log: Path, kill: Kill | None, url: str) -> None:
    """Begin to count, in the process that will be the run. There are no connections yet.

    Args:
        log: every boundary is written there, with the one where the kill took place.
        url: where sessions are terminated.
    """
    listener = _Listener(log, kill, url)
    psycopg.connect = listener.connect  # type: ignore[assignment]  # in place of the library's
    psycopg.Connection.wait = listener.make_wait(psycopg.Connection.wait)  # type: ignore[method-assign]  # in place of the library's


class _Listener:
    def __init__(self, log: Path, kill: Kill | None, url: str) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._kill = kill
        self._url = url
        self._connect = psycopg.connect
        self._turn = threading.Lock()
        self._number = 0
        self._of_role: Counter[str] = Counter()
        self._seen = 0
        self._pids: dict[str, list[int]] = defaultdict(list)
        self._at_work: list[int] = []  # sessions whose answer is not there, as they began to work
        self._connections = 0

    def connect(self, *arguments: Any, **options: Any) -> psycopg.Connection:
        """Stand in for `psycopg.connect`."""
        connection = self._connect(*arguments, **options)
        pid = connection.info.backend_pid
        with self._turn:
            self._connections += 1
            role = (LOCK, CONTROL, COMMAND)[min(self._connections, 3) - 1]
            self._pids[role].append(pid)
        connection._role = role  # type: ignore[attr-defined]  # kept with it
        self._reached(CONNECTED, role, str(pid), pid)
        return connection

    def make_wait(self, original: Any) -> Any:
        """Make the stand-in for `psycopg.Connection.wait`, through which every message goes."""
        listener = self

        def wait(self: psycopg.Connection, generator: Any, *arguments: Any, **options: Any) -> Any:
            role = getattr(self, "_role", None)
            if role is None:
                return original(self, generator, *arguments, **options)
            text = _text(generator, sys._getframe(1))
            watched = listener._watch(generator, role, text, self.pgconn.backend_pid)
            return original(self, watched, *arguments, **options)

        return wait

    def _watch(self, generator: Any, role: str, text: str, pid: int) -> Generator[Any, Any, Any]:
        try:
            wanted = next(generator)  # sends
        except StopIteration as end:
            return end.value
        self._reached(SENT, role, text, pid)
        while True:
            try:
                given = yield wanted
            except BaseException as error:
                wanted = generator.throw(error)
                continue
            try:
                wanted = generator.send(given)
            except StopIteration as end:
                self._reached(ANSWERED, role, text, pid)
                return end.value

    def _reached(self, point: str, role: str, text: str, pid: int) -> None:
        with self._turn:
            if pid in self._at_work:
                self._at_work.remove(pid)
            if point == SENT:
                self._at_work.append(pid)
            kill = self._take(point, role, text)
            self._write(point, role, text, pid, is_kill=kill is not None)
        if kill is None:
            return
        time.sleep(kill.delay)
        if kill.how == SIGKILL:
            os.kill(os.getpid(), signal.SIGKILL)
        with self._turn:
            target = self._target(kill.target, pid)
        with self._connect(self._url, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s, 10000)", [target])
        with self._turn:
            self._number += 1
            self._write(GONE, role, text, target, is_kill=False)

    def _take(self, point: str, role: str, text: str) -> Kill | None:
        """Count a boundary; give the kill if it is to be here."""
        self._number += 1
        self._of_role[role] += 1
        kill = self._kill
        if kill is None or not self._is_here(kill, point, role, text):
            return None
        self._kill = None
        return kill

    def _is_here(self, kill: Kill, point: str, role: str, text: str) -> bool:
        if not kill.text:
            is_counted = kill.role in ("", role)
            return is_counted and kill.at == (self._of_role[role] if kill.role else self._number)
        if point != SENT or kill.text not in text:
            return False
        self._seen += 1
        return self._seen == kill.occurrence

    def _target(self, target: str, pid: int) -> int:
        if target == OTHER:
            commands = self._pids[COMMAND]
            by_work = sorted(
                commands, key=lambda one: self._at_work.index(one) if one in self._at_work else -1
            )
            return next((one for one in reversed(by_work) if one != pid), pid)
        return pid if target == OWN or not self._pids[target] else self._pids[target][-1]

    def _write(self, point: str, role: str, text: str, pid: int, *, is_kill: bool) -> None:
        values = (self._number, point, role, text, is_kill, time.monotonic(), pid)
        os.write(self._log, (json.dumps(values) + "\n").encode())


_KINDS = (
    ("move_backfill", "checkpoint and COMMIT of a batch of a backfill"),
    ('insert into "upgrader"."backfill"', "the first checkpoint of a backfill"),
    ('from "upgrader"."backfill"', "reading a checkpoint"),
    ("savepoint upgrader_look", "finding the next batch of a backfill"),
    ("complete_step", "the step's record and COMMIT"),
    ("check_step", "COMMIT of a batch"),
    ("; begin;", "BEGIN of a step or batch"),
    ("close all;", "reset of the session"),
    ("advisory", "run lock, fence, barrier"),
    ("concurrently", "CREATE or DROP INDEX CONCURRENTLY"),
    ("schema", "layout of the history"),
    ("layout", "reading the layout's version"),
    ('"upgrader"."run"', "announcement of the run"),
    ("set status = 'interrupted'", "interruption of running attempts"),
    ('update "upgrader"."history"', "outcome of a running attempt"),
    ('update "upgrader"."scope"', "record of versions passed"),
    ("is_initial, executed_by_version, checksum, finished_at)", "marks of the enrolment"),
    ('insert into "upgrader"."history"', "running row"),
    ('from "upgrader"', "survey of the history"),
    ("_gen", "BEGIN, COMMIT, cursors of the program itself"),
)


def kind_of(boundary: Boundary) -> str:
    """Name the kind of message, for the table."""
    if boundary.point == CONNECTED:
        return "a new connection"
    text = boundary.text.lower()
    found = next((kind for mark, kind in _KINDS if mark in text), None)
    if found is not None:
        return found
    return "a statement of a command, or set-up of a connection"


def _text(generator: Any, caller: FrameType) -> str:
    """Give what is sent, shortened in the middle: from the driver's generator, or from who waits for it."""
    frame = getattr(generator, "gi_frame", None)
    query = frame.f_locals.get("query") if frame is not None else None
    query = caller.f_locals.get("message") if query is None else query
    if query is None:
        return str(getattr(generator, "__name__", "unknown"))
    text = " ".join((query.decode() if isinstance(query, bytes) else str(query)).split())
    half = _LABEL_CHARACTERS // 2
    return text if len(text) <= _LABEL_CHARACTERS else f"{text[:half]} … {text[-half:]}"
