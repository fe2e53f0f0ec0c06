"""A connection that hears of new jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import psycopg
from psycopg.sql import SQL, Identifier

_KEEP_ALIVE_SECONDS = 30.0

Heard = Callable[[str, str | None], Awaitable[None]]
"""Told of a channel and a payload; without a payload where something may have been said that nobody heard."""


async def listen(conninfo: str, channels: Iterable[str], heard: Heard) -> None:
    """Listen to channels until the connection is lost.

    What is said before the server has taken the LISTEN goes by unheard, and so may what is said beside the statement
    that keeps the connection alive: `heard` is told after each.

    Raises:
        psycopg.Error: the connection could not be made, or was lost.
    """
    names = list(channels)
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        for name in names:
            await connection.execute(SQL("listen {}").format(Identifier(name)))
        while True:
            await heard(names[0], None)
            async for notification in connection.notifies(timeout=_KEEP_ALIVE_SECONDS):
                await heard(notification.channel, notification.payload)
            await connection.execute("select")
