"""Several statements as one message, the cheapest way to talk to the server.

A cursor makes objects for the result of every statement; of a step's dozen only the last one is looked at.
"""

from __future__ import annotations

import psycopg
from psycopg import generators
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE)


def send_message(driver: psycopg.Connection, message: str) -> tuple[str | None, ...] | None:
    """Execute statements and give the first row of the last one, as the server writes it; None without a row.

    Raises:
        psycopg.Error: a statement failed, those after it were not executed; or the connection is lost.
    """
    with driver.lock:
        last = send(driver, message)
    encoding = driver.info.encoding
    if not last.ntuples or not last.nfields:
        return None
    values = (last.get_value(0, column) for column in range(last.nfields))
    return tuple([None if value is None else value.decode(encoding) for value in values])


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
