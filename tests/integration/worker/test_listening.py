"""The connection that hears of new jobs, and what it says of those that it may not have heard of."""

from __future__ import annotations

import asyncio
import json

import psycopg
import pytest

from tests.support.worker_queue import QueueGround
from upgrader.worker.queue.listening import listen

CHANNEL = "procrastinate_queue_v1#mails"


class _Heard:
    """Keeps what was heard, and lets a test wait for more."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str | None]] = []
        self._more = asyncio.Event()

    async def __call__(self, channel: str, payload: str | None) -> None:
        self.said.append((channel, payload))
        self._more.set()

    async def wait_for(self, count: int) -> None:
        while len(self.said) < count:
            await asyncio.wait_for(self._more.wait(), 30)
            self._more.clear()


def test_it_may_have_missed_what_was_said_before_it_listened(ground: QueueGround) -> None:
    """A job of before is nobody's news: once it listens, its owner is told to look by itself; later ones it names."""

    async def run() -> list[tuple[str, str | None]]:
        heard = _Heard()
        ground.queue.add("mails", "send", "before")
        task = asyncio.create_task(listen(ground.url, [CHANNEL], heard))
        await heard.wait_for(1)
        await asyncio.to_thread(ground.queue.add, "mails", "send", "after")
        await heard.wait_for(2)
        task.cancel()
        return heard.said

    first, second = asyncio.run(run())
    assert first == (CHANNEL, None)
    assert second[0] == CHANNEL
    assert json.loads(second[1] or "") == {"type": "job_inserted", "job_id": 2}


def test_a_lost_connection_is_an_error(ground: QueueGround) -> None:
    """Its owner begins again, and is told to look once more."""

    async def run() -> None:
        heard = _Heard()
        task = asyncio.create_task(listen(ground.url, [CHANNEL], heard))
        await heard.wait_for(1)
        ground.connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and query = 'listen \"procrastinate_queue_v1#mails\"'"
        )
        await task

    with pytest.raises(psycopg.Error):
        asyncio.run(run())
