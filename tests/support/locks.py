"""Somebody who holds a lock, and the foreground that works on the same table."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from tests.support.project import Project
from tests.support.server import wait_until


@contextmanager
def holding(
    project: Project, *statements: str, application_name: str = "reporting"
) -> Iterator[psycopg.Connection]:
    """Hold what these statements lock, in a transaction, until the end of the block (or its `rollback()`)."""
    with psycopg.connect(project.database_url, application_name=application_name) as holder:
        for statement in statements:
            holder.execute(statement.encode())
        try:
            yield holder
        finally:
            holder.rollback()


def is_waiting(project: Project, words: str) -> bool:
    """Tell whether a session of the project's database waits for a lock in a statement with these words."""
    return bool(
        project.query(
            "select from pg_stat_activity where position(%s in query) > 0 and wait_event_type = 'Lock'"
            " and datname = current_database() and pid <> pg_backend_pid()",
            words,
        )
    )


@dataclass
class Foreground:
    """An application that executes one statement over and over, and notes how long each took."""

    url: str
    statement: str
    seconds: list[float] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Work until `end` is called."""
        with psycopg.connect(self.url, autocommit=True, application_name="foreground") as connection:
            while not self._ended.is_set():
                began = time.perf_counter()
                connection.execute(self.statement.encode())
                self.seconds.append(time.perf_counter() - began)
                self._ended.wait(0.005)

    def end(self) -> None:
        """Stop after the statement at hand."""
        self._ended.set()


@contextmanager
def working(url: str, *statements: str) -> Iterator[list[Foreground]]:
    """Let one session for each statement work in the block; all have executed once when it begins."""
    foregrounds = [Foreground(url, statement) for statement in statements]
    threads = [threading.Thread(target=one.run) for one in foregrounds]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: all(one.seconds for one in foregrounds))
        yield foregrounds
    finally:
        for one in foregrounds:
            one.end()
        for thread in threads:
            thread.join(60)
