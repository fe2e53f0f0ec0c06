"""What a worker says to the queue, in place of Procrastinate's own manager of jobs.

Its own would end a worker with the first connection that is lost, let a worker end a job that another has taken over,
count a job that is given back as tried, and let jobs that are due, or that were added just before it listened, wait
for the next poll.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import psycopg
from procrastinate import jobs, utils
from procrastinate.exceptions import ConnectorException
from procrastinate.manager import JobManager, NotificationCallback, get_channel_for_queues
from procrastinate.worker import Worker

from upgrader.worker.queue.listening import listen

_LOOK: jobs.Notification = {"type": "job_inserted", "job_id": 0}
"""In place of what was not heard: the worker looks for any job."""
ARGUMENTS: Final = "arguments"
"""Under which a job's arguments are passed through Procrastinate."""
_ABORT: Final = "abort_job_requested"
_SHORTEST_POLL_SECONDS = 0.01
_PAUSE_SECONDS = 0.5

_TAKE = """
select *, 'doing' as status, %(worker_id)s::bigint as worker_id from take_job(%(queues)s::text[], %(worker_id)s)
"""
# A job is its worker's until another has taken it; one whose worker was forgotten has not been taken yet. Neither is
# it the try's that has ended where the same worker is at the next one: its end was written, and the answer lost.
_OWN = """(
    select id from procrastinate_jobs
    where id = %(job_id)s and status = 'doing' and attempts = %(attempts)s
      and (worker_id = %(worker_id)s or worker_id is null) for update
)"""
_FINISH = f"select procrastinate_finish_job_v1(id, %(status)s, %(delete_job)s) from {_OWN} own"
_RETRY = f"""
select procrastinate_retry_job_v2(
    id, case when %(seconds)s > 0 then clock_timestamp() + make_interval(secs => %(seconds)s) end, null, null, null
) from {_OWN} own
"""
_GIVE_BACK = f"""
update procrastinate_jobs set worker_id = null, abort_requested = false, status =
    (case when abort_requested then 'aborted' else 'todo' end)::procrastinate_job_status
where id = {_OWN} returning id
"""
# What a worker was given and never heard of: the connection was lost over the answer. Nobody else would find it.
_UNHEARD = """
update procrastinate_jobs set worker_id = null, abort_requested = false, status =
    (case when abort_requested then 'aborted' else 'todo' end)::procrastinate_job_status
where id in (
    select id from procrastinate_jobs
    where status = 'doing' and worker_id = %(worker_id)s and id <> all(%(known)s::bigint[]) for update skip locked
) returning id, task_name
"""
_ERROR = """
insert into job_error (job_id, attempt, message) values (%(job_id)s, %(attempt)s, %(message)s)
on conflict (job_id) do update set attempt = excluded.attempt, message = excluded.message, at = excluded.at
"""

_logger = logging.getLogger("upgrader.worker.queue")


class QueuedJob(jobs.Job):
    """A job that no log line tells the payload of."""

    def log_context(self) -> Any:
        """Give what names it."""
        return {"id": self.id, "queue": self.queue, "task_name": self.task_name, "attempts": self.attempts}

    @property
    def call_string(self) -> str:
        """Name it."""
        return f"{self.task_name}[{self.id}]"


class QueueManager(JobManager):
    """The manager of one consumer.

    Attributes:
        unwritten: jobs that have ended, which is not written down yet.
    """

    def __init__(self, connector: Any, conninfo: str, *, poll_seconds: float) -> None:
        """Say nothing yet.

        Args:
            conninfo: of the connection that listens.
            poll_seconds: how long an idle worker sleeps at the most.
        """
        super().__init__(connector)
        self._conninfo = conninfo
        self._poll_seconds = poll_seconds
        self._given_back: set[int] = set()
        self._known: Counter[int] = Counter()  # twice, where another gave a job back that goes on here
        self._taking = asyncio.Lock()
        self._ends_at: float | None = None
        self._is_away = False
        self._is_unwritable = False
        self._notifications = 0
        self.unwritten: list[jobs.Job] = []
        self.worker: Worker | None = None
        self.worker_id: int | None = None
        self.registered = threading.Event()

    async def register_worker(self) -> int:
        """Enter the worker, and remember its number."""
        self.worker_id = await super().register_worker()
        self.registered.set()
        return self.worker_id

    async def unregister_worker(self, worker_id: int) -> None:
        """Take the worker out of the table; nobody says that it lives from then on."""
        self.worker_id = None
        await super().unregister_worker(worker_id)

    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:  # noqa: ARG002
        """Leave dead workers to `Upkeep`, which gives back their jobs first."""
        return []

    async def update_heartbeat(self, worker_id: int) -> None:
        """Leave it to `Upkeep`, which goes on with it while the last jobs are waited for."""

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        """Listen; where the connection is lost, again and again. Meanwhile the worker asks now and then."""
        channels = get_channel_for_queues(queues)

        async def heard(channel: str, payload: str | None) -> None:
            self._notifications += 1
            await on_notification(channel=channel, notification=await self._understood(payload))

        while True:
            with suppress(psycopg.Error):
                await listen(self._conninfo, channels, heard)
            await asyncio.sleep(self._poll_seconds)

    async def _understood(self, payload: str | None) -> jobs.Notification:
        """Give what was said, if it is so; whoever may connect to the database may say anything."""
        try:
            said = json.loads(payload or "null")
        except (ValueError, RecursionError):
            return _LOOK
        if isinstance(said, dict) and said.get("type") == _ABORT:
            for number in await self.list_jobs_to_abort_async():
                if number == said.get("job_id"):
                    return {"type": _ABORT, "job_id": number}
        return _LOOK

    async def list_jobs_to_abort_async(self, queue: str | None = None) -> Iterable[int]:
        """Give the jobs that were asked to end; none while the database is away."""
        try:
            return await super().list_jobs_to_abort_async(queue)
        except ConnectorException as error:
            self._tell_once(error)
            return []

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> jobs.Job | None:
        """Take a job; without one, let the worker sleep no longer than until the next is due."""
        heard = self._notifications
        try:
            async with self._taking:
                row = await self.connector.execute_query_one_async(
                    query=_TAKE, queues=queues, worker_id=worker_id
                )
                if row["id"] is not None:
                    self._known[row["id"]] += 1
        except ConnectorException as error:
            self._tell_once(error)
            self._sleep(self._poll_seconds)
            return None
        self._is_away = False
        if row["id"] is not None:
            # As one argument, whatever they are: somebody may have written them by hand.
            return QueuedJob.from_row({**row, "args": {ARGUMENTS: row["args"]}})
        # The worker forgets what it was notified of while it was asking: it may be of a job that it did not see yet.
        self._sleep(row["due_seconds"] if heard == self._notifications else 0.0)
        return None

    async def finish_job(self, job: jobs.Job, status: jobs.Status, delete_job: bool) -> None:
        """End a job, if it is still this worker's."""
        await self._end(job, _FINISH, status=status.value, delete_job=delete_job)

    async def retry_job(
        self,
        job: jobs.Job,
        retry_at: datetime | None = None,
        priority: int | None = None,  # noqa: ARG002 - as Procrastinate's own
        queue: str | None = None,  # noqa: ARG002
        lock: str | None = None,  # noqa: ARG002
    ) -> None:
        """Let a job wait again, if it is still this worker's; the rest is taken by the server's clock."""
        if job.id in self._given_back:
            self._given_back.discard(job.id or 0)
            await self._end(job, _GIVE_BACK)
            return
        seconds = (retry_at - utils.utcnow()).total_seconds() if retry_at is not None else 0.0
        await self._end(job, _RETRY, seconds=seconds)

    async def give_back_unheard(self) -> None:
        """Give back what this worker has by the queue's table, and knows nothing of."""
        async with self._taking:  # while it is asked for a job, it may be given one that it will know of
            rows = await self.connector.execute_query_all_async(
                query=_UNHEARD, worker_id=self.worker_id, known=sorted(self._known)
            )
        for row in rows:
            _logger.warning(
                "job %s [%s] was given to this worker as the connection was lost; it is waiting again",
                row["task_name"],
                row["id"],
            )

    def end_soon(self, timeout_seconds: float) -> None:
        """Try to write down the ends of jobs for no longer than so, from now on."""
        self._ends_at = time.monotonic() + timeout_seconds

    def give_back(self, number: int) -> None:
        """Let the job, when it is retried, wait again as if it had not been tried."""
        self._given_back.add(number)

    async def write_error(self, number: int, *, attempt: int, message: str) -> None:
        """Keep what a try raised."""
        await self.connector.execute_query_async(
            query=_ERROR, job_id=number, attempt=attempt, message=message
        )

    def _sleep(self, due_seconds: float | None) -> None:
        if self.worker is not None:
            seconds = self._poll_seconds if due_seconds is None else min(due_seconds, self._poll_seconds)
            self.worker.fetch_job_polling_interval = max(seconds, _SHORTEST_POLL_SECONDS)

    def _tell_once(self, error: ConnectorException) -> None:
        if not self._is_away:
            _logger.warning("no job can be taken: %s; trying again", error.__cause__ or error)
        self._is_away = True

    async def _end(self, job: jobs.Job, query: str, **values: Any) -> None:
        """Write a job's end down; while there is no connection again and again, whoever has the job by then."""
        self.unwritten.append(job)
        is_in_doubt = False
        while True:
            try:
                rows = await self.connector.execute_query_all_async(
                    query=query, job_id=job.id, worker_id=job.worker_id, attempts=job.attempts, **values
                )
                break
            except ConnectorException as error:
                if not is_in_doubt and not self._is_unwritable:
                    _logger.warning(
                        "the end of a job cannot be written down: %s; trying again", error.__cause__ or error
                    )
                    self._is_unwritable = True
                is_in_doubt = True
                if self._ends_at is not None and time.monotonic() > self._ends_at:
                    return
                await asyncio.sleep(_PAUSE_SECONDS)
        self._is_unwritable = False
        self.unwritten.remove(job)
        self._forget(job.id or 0)
        if not rows:
            _tell_of_another(job, is_in_doubt=is_in_doubt)

    def _forget(self, number: int) -> None:
        self._known[number] -= 1
        if self._known[number] <= 0:
            del self._known[number]


def _tell_of_another(job: jobs.Job, *, is_in_doubt: bool) -> None:
    """Say that a job's end did not count."""
    if is_in_doubt:
        _logger.warning(
            "job %s [%s] is not this worker's any more: its end was written down as the connection was lost, or another"
            " worker has taken it over meanwhile",
            job.task_name,
            job.id,
        )
        return
    _logger.warning(
        "job %s [%s] is not this worker's any more: this one was silent for too long, and another has taken it"
        " over; how it ended here does not count",
        job.task_name,
        job.id,
    )
