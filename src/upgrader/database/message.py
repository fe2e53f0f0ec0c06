"""Several statements as one message, the cheapest way to talk to the server.

A cursor makes objects for the result of every statement; of a step's dozen only the last one is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import generators
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

Row = tuple[str | None, ...] | None
"""The first row of a result, as the server writes it; None without a row."""
_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the last statement of a message gave."""

    row: Row


def send_message(driver: psycopg.Connection, message: str) -> Row:
    """Execute statements and give the first row of the last one.

    Raises:
        psycopg.Error: a statement failed, those after it were not executed; or the connection is lost.
    """
    with driver.lock:
        last = send(driver, message)
    return _row(driver, last)


def send_commit(driver: psycopg.Connection, commit: str, following: str) -> Answer | None:
    """Execute statements that end with COMMIT, and those of the next transaction after them, in one message.

    Returns:
        What the last statement gave; None where only something after the COMMIT failed.

    Raises:
        psycopg.Error: nothing was committed; or the connection is lost.
    """
    message = f"{commit}; {following}"
    with driver.lock:
        driver.pgconn.send_query(message.encode())
        results = driver.wait(generators.execute(driver.pgconn))
    last = results[-1]
    if last.status not in _FAILED:
        return Answer(_row(driver, last))
    if any(result.command_status == b"COMMIT" for result in results):
        return None
    raise psycopg.errors.error_from_result(last, driver.info.encoding)


def send(driver: psycopg.Connection, message: str) -> PGresult:
    """Execute statements and give the result of the last one. The caller holds the driver's lock.

    Raises:
        psycopg.Error: as `send_message`.
    """
    driver.pgconn.send_query(message.encode())
    last: PGresult = driver.wait(generators.execute(driver.pgconn))[-1]
    if last.status in _FAILED:
        raise psycopg.errors.error_from_result(last, driver.info.encoding)
    return last


def _row(driver: psycopg.Connection, result: PGresult) -> Row:
    columns = result.nfields
    if not columns or not result.ntuples:
        return None
    is_utf8 = driver.pgconn.parameter_status(b"client_encoding") == b"UTF8"
    encoding = "utf-8" if is_utf8 else driver.info.encoding
    return tuple(
        [
            None if (value := result.get_value(0, column)) is None else value.decode(encoding)
            for column in range(columns)
        ]
    )
