"""Schedulers of classes and functions of a test's own, and the ticks that they have claimed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg

Schedulers = Callable[..., Any]
"""Gives a scheduler of classes and functions on the test's database, for the time of a block."""


def ticks_of(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """Give job, time, worker and outcome of each tick."""
    return connection.execute(
        "select name, due, worker, outcome from upgrader_worker.tick order by name, due"
    ).fetchall()
