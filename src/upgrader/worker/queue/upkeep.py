"""What a worker does for all: it says that it lives, gives back the jobs of those that do not, deletes old ones."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from procrastinate.exceptions import ConnectorException

from upgrader.settings.worker import WorkerSettings
from upgrader.worker.names import HEARTBEAT_JOB
from upgrader.worker.queue.manager import QueueManager

MOST_RESCUES = 20
"""So many workers may die with one job before it is taken to be what they die of."""
_BATCH = 20_000
_FINISHED = ("succeeded", "cancelled", "aborted")
_FAILED = ("failed",)

# Its row is made anew where others took this worker to be dead.
_ALIVE = """
insert into procrastinate_workers (id) overriding system value values (%(worker_id)s)
on conflict (id) do update set last_heartbeat = now()
"""
# Several rescuers at once: whoever has a row's lock moves it, the others leave it out.
_RESCUE = """
with dead as (
    select id from procrastinate_workers
    where last_heartbeat < now() - make_interval(secs => %(stalled)s) and id is distinct from %(worker_id)s
), stalled as (
    select j.id, j.attempts, coalesce(e.rescued, 0) + 1 as rescued
    from procrastinate_jobs j left join job_error e on e.job_id = j.id
    where j.status = 'doing' and (j.worker_id is null or j.worker_id in (select id from dead))
    for update of j skip locked
), noted as (
    insert into job_error (job_id, attempt, message, rescued)
    select id, attempts + 1, 'the worker that had it fell silent', rescued from stalled
    on conflict (job_id) do update set attempt = excluded.attempt, message = excluded.message, at = excluded.at,
        rescued = excluded.rescued
), moved as (
    update procrastinate_jobs j set worker_id = null, abort_requested = false, scheduled_at = null, status = (
        case when j.abort_requested then 'aborted' when s.rescued > %(most)s then 'failed' else 'todo' end
    )::procrastinate_job_status
    from stalled s where s.id = j.id returning j.id, j.task_name, j.status::text
), gone as (
    delete from procrastinate_workers w using dead where w.id = dead.id and not exists (
        select from procrastinate_jobs j where j.worker_id = w.id and j.status = 'doing'
    )
)
select id, task_name, status from moved
"""
# The last heartbeat is kept beside what the limits say: it would take the place of a job.
_RETAIN = """
with over as (
    select j.id, e.at, row_number() over (order by e.at desc, j.id desc) as place
    from procrastinate_jobs j,
        lateral (select max(at) as at from procrastinate_events where job_id = j.id and type <> 'scheduled') e
    where j.status = any(%(statuses)s::procrastinate_job_status[])
      and not (j.status = 'succeeded' and j.task_name = %(heartbeat)s)
), old as (
    select id from over
    where (%(age)s > 0 and at < now() - make_interval(secs => %(age)s)) or (%(count)s > 0 and place > %(count)s)
    limit %(batch)s
), gone as (
    delete from procrastinate_jobs where id in (
        select id from procrastinate_jobs where id in (select id from old)
          and status = any(%(statuses)s::procrastinate_job_status[]) for update skip locked
    ) returning id
)
select count(*) as deleted from gone
"""
_FORGET_HEARTBEATS = """
delete from procrastinate_jobs where id in (
    select id from procrastinate_jobs where status = 'succeeded' and task_name = %(name)s
    order by id desc offset 1 for update skip locked
)
"""

_logger = logging.getLogger("upgrader.worker.queue")


class Upkeep:
    """The duties of one consumer, each on a rhythm of its own; trouble with one ends neither it nor the others."""

    def __init__(
        self,
        manager: QueueManager,
        settings: WorkerSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manager = manager
        self._settings = settings
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        self._is_ending = False
        self._said_alive: float | None = None
        self._looks_from = float("-inf")

    def begin(self) -> None:
        """Begin; on the loop of the queue."""
        settings = self._settings
        duties: list[tuple[str, Callable[[], Awaitable[object]], float]] = [
            ("to say that this worker lives", self.say_alive, settings.heartbeat_seconds),
            ("to look for jobs of dead workers", self.rescue, settings.rescue_seconds),
            ("to delete old jobs", self.retain, settings.retention.every_seconds),
        ]
        self._tasks = [asyncio.create_task(self._repeat(*duty)) for duty in duties]

    async def end(self) -> None:
        """End them all.

        A cancellation may be lost: `asyncio.wait_for`, by which the pool waits, loses one that comes in the moment in
        which what it waits for does (before Python 3.12). So that each looks by itself, too.
        """
        self._is_ending = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def say_alive(self) -> None:
        """Say that this worker lives: also while it waits for its last jobs, when Procrastinate says so no more."""
        if self._manager.worker_id is None:
            return
        await self._run(_ALIVE, worker_id=self._manager.worker_id)
        now, before = self._clock(), self._said_alive
        self._said_alive = now
        if before is None or now - before > self._settings.stalled_seconds:
            # The database was away and heard nobody, or may have been before this worker came: the others are given
            # the time to say that they live.
            self._looks_from = now + self._settings.stalled_seconds

    async def rescue(self) -> int:
        """Give back the jobs of workers that fell silent, and what this one never heard of; give how many of those."""
        await self.say_alive()
        if self._manager.worker_id is not None:
            await self._manager.give_back_unheard()
        if self._clock() < self._looks_from:
            return 0
        rows = await self._rows(
            _RESCUE,
            stalled=self._settings.stalled_seconds,
            most=MOST_RESCUES,
            worker_id=self._manager.worker_id,
        )
        for row in rows:
            level = logging.WARNING if row["status"] != "failed" else logging.ERROR
            _logger.log(
                level,
                "job %s [%s]: its worker fell silent; it is %s now",
                row["task_name"],
                row["id"],
                {"todo": "waiting again", "failed": "failed: too many workers died with it"}.get(
                    row["status"], "cancelled"
                ),
            )
        return len(rows)

    async def retain(self) -> int:
        """Delete what is too old or one too many, and heartbeats but the last; give how many."""
        kept = self._settings.retention
        await self.forget_heartbeats()
        return await self._retain(
            _FINISHED, age=kept.finished_age_seconds, count=kept.finished_count
        ) + await self._retain(_FAILED, age=kept.failed_age_seconds, count=kept.failed_count)

    async def forget_heartbeats(self) -> None:
        """Delete the heartbeats that succeeded, but for the last."""
        await self._run(_FORGET_HEARTBEATS, name=HEARTBEAT_JOB)

    async def _retain(self, statuses: tuple[str, ...], *, age: float, count: int) -> int:
        total = 0
        while age or count:
            (row,) = await self._rows(
                _RETAIN,
                statuses=list(statuses),
                age=age,
                count=count,
                batch=_BATCH,
                heartbeat=HEARTBEAT_JOB,
            )
            total += row["deleted"]
            if row["deleted"] < _BATCH:
                break
        return total

    async def _run(self, query: str, **values: Any) -> None:
        await self._manager.connector.execute_query_async(query=query, **values)

    async def _rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        return await self._manager.connector.execute_query_all_async(query=query, **values)

    async def _repeat(self, name: str, duty: Callable[[], Awaitable[object]], seconds: float) -> None:
        is_well = True
        while not self._is_ending:
            try:
                await duty()
                is_well = True
            except ConnectorException as error:
                if is_well:  # once: the database may be away for long
                    _logger.warning("it was tried in vain %s: %s", name, error.__cause__ or error)
                is_well = False
            if not self._is_ending:
                await asyncio.sleep(seconds)
