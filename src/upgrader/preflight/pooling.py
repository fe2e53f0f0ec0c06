"""Whether a session is a session: a proxy that pools by transaction or statement gives its parts to others.

The protocol gives a client the number of its server process when it connects. A proxy has no process to name
then and invents one, so the two numbers tell a proxy at the price of nothing. Whether it keeps a session
together is then tried: two connections that are open at once, each with a mark of its own in its session, ask
in turn which process serves them and which mark they find. On a server the answers never change. With a pool
of one process both find the same one; with more, the one that was used last, or the next in turn, serves
whoever asks, and a mark is lost or found with the other.
"""

from __future__ import annotations

import secrets
import select
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import psycopg
from psycopg import generators

from upgrader.database.message import send_message

if TYPE_CHECKING:
    from upgrader.database.connect import Connector

_MARK = "upgrader.session_mark"
_ROUNDS = 3
_ANSWER_SECONDS = 10.0
# One of the settings that each session of a run begins with, and that is off by default.
_TAKES_SETTINGS = "current_setting('client_connection_check_interval') <> '0'"


class ProxyKind(StrEnum):
    """What stands between the program and the server."""

    NONE = "none"
    SESSIONS = "sessions"  # keeps each session together
    SESSIONS_ONE = "one-session"  # keeps them together, and has no second one to give
    TRANSACTIONS = "transactions"  # hands the server to somebody else between two transactions


@dataclass(frozen=True, slots=True)
class Pooling:
    """What was found out.

    Attributes:
        takes_settings: whether the settings reached the server that the sessions of a run begin with.
    """

    kind: ProxyKind = ProxyKind.NONE
    takes_settings: bool = True


@dataclass(frozen=True, slots=True)
class _Answer:
    pid: int
    mark: str


class _NoAnswerError(Exception):
    """The proxy keeps a statement waiting."""


def look_for_proxy(driver: psycopg.Connection, connector: Connector) -> Pooling:
    """Find out what stands before the server; on a direct connection that is one short query.

    Behind a proxy a second connection is opened for a moment, and settings with a meaningless name are set.

    Args:
        driver: an open connection, in autocommit.
        connector: opens the other one, to the same place.

    Raises:
        DatabaseUnavailableError: there is no second connection to be had.
    """
    row = send_message(driver, f"select pg_backend_pid(), {_TAKES_SETTINGS}")
    assert row is not None
    if driver.pgconn.backend_pid == int(row[0] or 0):
        return Pooling()
    takes_settings = row[1] == "t"
    with replace(
        connector, is_plain=True
    ).connect() as other:  # asks nothing before it is asked within a time
        return Pooling(_try_sessions(driver, other), takes_settings)


def _try_sessions(one: psycopg.Connection, two: psycopg.Connection) -> ProxyKind:
    connections = (one, two)
    marks = tuple(secrets.token_hex(8) for _ in connections)
    try:
        for connection, mark in zip(connections, marks, strict=True):
            _ask(connection, f"set {_MARK} = '{mark}'")
        # Once in turn, then each twice: a pool that gives its members out in turn shows only in the latter.
        first = [_answer(connection) for connection in connections]
        if first[0].pid == first[1].pid:
            return ProxyKind.TRANSACTIONS
        wanted = [_Answer(answer.pid, mark) for answer, mark in zip(first, marks, strict=True)]
        for _ in range(_ROUNDS):
            for place in (0, 1, 1, 0):
                if _answer(connections[place]) != wanted[place]:
                    return ProxyKind.TRANSACTIONS
        for connection in connections:
            _ask(connection, f"reset {_MARK}")
    except _NoAnswerError:
        return ProxyKind.SESSIONS_ONE
    return ProxyKind.SESSIONS


def _answer(connection: psycopg.Connection) -> _Answer:
    row = _ask(connection, f"select pg_backend_pid(), current_setting('{_MARK}', true)")
    assert row is not None
    return _Answer(int(row[0] or 0), row[1] or "")


def _ask(connection: psycopg.Connection, statement: str) -> tuple[str | None, ...] | None:
    """Send a statement and give its row.

    Raises:
        _NoAnswerError: none came in time, or the proxy says that none will. The connection is of no use any more.
    """
    connection.pgconn.send_query(statement.encode())
    connection.pgconn.flush()
    if not select.select([connection.fileno()], [], [], _ANSWER_SECONDS)[0]:
        connection.close()
        raise _NoAnswerError
    result = connection.wait(generators.execute(connection.pgconn))[-1]
    if result.error_message:
        error = psycopg.errors.error_from_result(result, connection.info.encoding)
        if isinstance(error, psycopg.errors.ProtocolViolation):  # PgBouncer's query_wait_timeout
            raise _NoAnswerError from error
        raise error
    if not result.ntuples:
        return None
    values = (result.get_value(0, column) for column in range(result.nfields))
    return tuple([None if value is None else value.decode() for value in values])
