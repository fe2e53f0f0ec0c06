"""The same work by hand: a loop of psycopg statements that checks nothing, on one thread or several."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import count

import psycopg

from tests.bench.blocks import timed
from tests.support.project import Project

_TABLE = """
    create table core.loop_history (
        id bigint generated always as identity primary key, name text not null, workspace_id text not null,
        status text not null, attempt integer not null, started_at timestamptz not null default now(),
        finished_at timestamptz
    );
    create unique index on core.loop_history (workspace_id, name, attempt)
"""
_INSERT = (
    "insert into core.loop_history (name, workspace_id, status, attempt, finished_at)"
    " values (%s, %s, 'completed', 1, clock_timestamp())"
)


class Loop:
    """Adds a column to the table `item` of each workspace, with a row of history, in a transaction each."""

    def __init__(self, project: Project, workspaces: int) -> None:
        """Make the table of the history."""
        self._workspaces = workspaces
        self._numbers = count(1)
        with project.connect() as connection:
            connection.execute(_TABLE.encode())

    def contender(self, url: str, *, threads: int = 1) -> Callable[[int], float]:
        """Give what runs a block on so many threads, each on a connection of its own: seconds per workspace."""

        def block(number: int) -> float:
            del number
            column = next(self._numbers)
            with ExitStack() as stack:
                connections = [
                    stack.enter_context(psycopg.connect(url, autocommit=True, prepare_threshold=None))
                    for _ in range(threads)
                ]
                return timed(lambda: self._run(connections, column)) / self._workspaces

        return block

    def _run(self, connections: list[psycopg.Connection], column: int) -> None:
        # Taken one by one, as the program's lanes do: no thread is left with more than the others.
        ids = iter(range(1, self._workspaces + 1))
        if len(connections) == 1:
            _work(connections[0], ids, column)
            return
        threads = [
            threading.Thread(target=_work, args=(connection, ids, column)) for connection in connections
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _work(connection: psycopg.Connection, ids: Iterable[int], column: int) -> None:
    for workspace in ids:
        connection.execute("begin")
        connection.execute(f"set local search_path = ws_{workspace}, public".encode())
        connection.execute(f"alter table item add column loop_{column} integer".encode())
        connection.execute(_INSERT, [f"1.{column}.0_AddColumn{column}_{column}", str(workspace)])
        connection.execute("commit")
