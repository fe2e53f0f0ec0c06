"""Looking at the jobs of the queue, and an operator's word on one of them. Needs no Procrastinate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

from upgrader.database.connect import identifier
from upgrader.database.failures import translating
from upgrader.errors import LayoutError, OperatorError
from upgrader.settings import Settings
from upgrader.worker.names import worker_schema
from upgrader.worker.options import Backoff
from upgrader.worker.queue.arguments import JobArguments, QueueJobError
from upgrader.worker.queue.connection import Notify, queue_connector
from upgrader.worker.queue.layout import LAYOUT_VERSION, no_queue, no_rights, read_layout


class JobStatus(StrEnum):
    """What becomes of a job just now."""

    WAITING = "waiting"
    DELAYED = "delayed"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


_STATUS = """(case
    when j.status = 'todo' and j.scheduled_at > now() then 'delayed'
    when j.status = 'todo' then 'waiting'
    when j.status = 'doing' then 'running'
    when j.status in ('aborted', 'aborting') then 'cancelled'
    else j.status::text
end)"""
# By status as it stands in the table, so that an index serves it.
_STORED = {
    JobStatus.WAITING: ("todo",),
    JobStatus.DELAYED: ("todo",),
    JobStatus.RUNNING: ("doing",),
    JobStatus.SUCCEEDED: ("succeeded",),
    JobStatus.FAILED: ("failed",),
    JobStatus.CANCELLED: ("cancelled", "aborted", "aborting"),
}
_ROW = f"""
select j.id, j.queue_name as queue, j.task_name as name, {_STATUS} as status, j.priority, j.args, j.attempts as tries,
    j.abort_requested and j.status = 'doing' as is_cancelling, j.scheduled_at, j.worker_id,
    t.added_at, t.started_at, t.ended_at,
    extract(epoch from coalesce(case when j.status <> 'doing' then t.ended_at end, clock_timestamp())
        - t.started_at)::float8 as seconds,
    e.message as error, e.at as error_at, coalesce(e.rescued, 0) as rescued
from {{jobs}} j left join {{errors}} e on e.job_id = j.id, lateral (
    select min(at) filter (where type = 'deferred') as added_at, max(at) filter (where type = 'started') as started_at,
        max(at) filter (where type in ('succeeded', 'failed', 'cancelled', 'aborted', 'deferred_for_retry')) as ended_at
    from {{events}} where job_id = j.id
) t
"""
_COUNTS = ",\n    ".join(f"count(*) filter (where status = '{one}') as {one}" for one in JobStatus)
_QUEUES = f"""
with counted as (
    select name, min(id) filter (where status = 'waiting') as first, {_COUNTS}
    from (select j.id, j.queue_name as name, {_STATUS} as status from {{jobs}} j) states
    group by name
)
select counted.*, (
    select extract(epoch from clock_timestamp() - greatest(max(at), max(scheduled_at)))::float8
    from {{events}} e join {{jobs}} j on j.id = e.job_id where j.id = counted.first and type <> 'scheduled'
) as oldest_seconds
from counted order by name
"""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as it stands in the queue.

    Attributes:
        id: its number.
        dedupe_id: under which it waited when it was added.
        tries: that were begun and have ended,
        attempts: of so many.
        is_cancelling: somebody wants it to end, and it has not yet.
        scheduled_at: when it is due; None: at once.
        started_at: its last try.
        ended_at: its last try, or its cancellation.
        seconds: of its last try, so far where it is at work; None where there was none.
        worker_id: Procrastinate's number of the worker that has it, or had it.
        error: what its last failure was.
        rescued: with so many workers that fell silent it was.
    """

    id: int
    queue: str
    name: str
    status: JobStatus
    priority: int
    payload: Any
    dedupe_id: str | None
    tries: int
    attempts: int
    backoff: Backoff
    is_cancelling: bool
    scheduled_at: datetime | None
    added_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    seconds: float | None
    worker_id: int | None
    error: str | None
    error_at: datetime | None
    rescued: int


@dataclass(frozen=True, slots=True)
class QueueState:
    """How many jobs of a queue there are.

    Attributes:
        oldest_seconds: how long the one that has waited longest (of the first added) waits; None where none does.
    """

    name: str
    waiting: int
    delayed: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    oldest_seconds: float | None


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are asked for; None: any."""

    queue: str | None = None
    name: str | None = None
    status: JobStatus | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class JobOrdered:
    """What became of an operator's word.

    Attributes:
        job: as it is now.
        is_changed: whether it was not so before.
    """

    job: JobRecord
    is_changed: bool


@contextmanager
def queue_administration(
    settings: Settings, *, directory: Path | None = None, notify: Notify | None = None
) -> Iterator[QueueAdministration]:
    """Give the administration of the queue that the settings name, for the time of a block.

    Args:
        directory: what an embedded server's relative directory is relative to.
        notify: told what is done to the machine for an embedded server.
    """
    with (
        queue_connector(settings, directory=directory, notify=notify) as connector,
        connector.connect() as driver,
    ):
        yield QueueAdministration(driver, worker_schema(settings.history_schema))


class QueueAdministration:
    """Reads the queue's tables on one connection in autocommit; makes nothing where there is no queue yet."""

    def __init__(self, driver: psycopg.Connection[Any], schema: str) -> None:
        self._driver = driver
        self._schema = schema
        self._tables = {
            "jobs": identifier(schema, "procrastinate_jobs"),
            "events": identifier(schema, "procrastinate_events"),
            "errors": identifier(schema, "job_error"),
        }

    @property
    def exists(self) -> bool:
        """Whether there is a queue: a worker has been started on this database.

        Raises:
            LayoutError: the role may not read it, or it is not of this program's layout.
        """
        layout = read_layout(self._driver, self._schema)
        if layout is not None and layout.layout < LAYOUT_VERSION:
            raise LayoutError(
                f"the queue in the schema {self._schema} was made by an older version of this program",
                hint="start `upgrader worker` once: it brings the queue up to date",
            )
        return layout is not None

    def jobs(self, wanted: JobFilter | None = None) -> Sequence[JobRecord]:
        """Give jobs, the newest first."""
        if not self.exists:
            return ()
        wanted = wanted or JobFilter()
        conditions, values = ["true"], []
        for column, value in (("j.queue_name", wanted.queue), ("j.task_name", wanted.name)):
            if value is not None:
                conditions.append(f"{column} = %s")
                values.append(value)
        if wanted.status is not None:
            stored = ", ".join(f"'{one}'" for one in _STORED[wanted.status])
            conditions += [f"j.status in ({stored})", f"{_STATUS} = %s"]
            values.append(wanted.status.value)
        limit = "" if wanted.limit is None else f" limit {wanted.limit:d}"
        found = self._rows(f"{_ROW} where {' and '.join(conditions)} order by j.id desc{limit}", values)
        return [_record(row) for row in found]

    def job(self, number: int) -> JobRecord:
        """Give one job.

        Raises:
            OperatorError: there is none of that number.
        """
        if not self.exists:
            raise no_queue(self._schema, database=self._driver.info.dbname)
        found = self._rows(f"{_ROW} where j.id = %s", [number])
        if not found:
            raise OperatorError(
                f"there is no job {number}: it never was, or was deleted after its time",
                hint="`upgrader jobs list` shows those that there are",
            )
        return _record(found[0])

    def retry(self, number: int) -> JobOrdered:
        """Let a job that failed or was cancelled wait again, for one more try at least.

        Raises:
            OperatorError: there is none of that number, or it is neither.
        """
        found = self.job(number)
        if found.status in (JobStatus.WAITING, JobStatus.DELAYED):
            return JobOrdered(found, is_changed=False)
        if found.status in (JobStatus.RUNNING, JobStatus.SUCCEEDED):
            word = "is being worked on" if found.status is JobStatus.RUNNING else "has succeeded"
            raise OperatorError(
                f"job {number} ({found.name}) {word}: only one that failed or was cancelled is tried again",
                hint="`upgrader jobs list --status failed` shows those that failed",
            )
        stored = ", ".join(f"'{one}'" for status in _TRIED_AGAIN for one in _STORED[status])
        changed = self._rows(
            "update {jobs} set status = 'todo', scheduled_at = null, worker_id = null, abort_requested = false"
            f" where id = %s and status in ({stored}) returning id",
            [number],
        )
        if not changed:
            return self.retry(number)  # somebody else was quicker: it is something else now
        return JobOrdered(self.job(number), is_changed=True)

    def cancel(self, number: int) -> JobOrdered:
        """Cancel a job that waits; ask one that is being worked on to end.

        Raises:
            OperatorError: there is none of that number, or it is over.
        """
        found = self.job(number)
        if found.status not in (JobStatus.WAITING, JobStatus.DELAYED, JobStatus.RUNNING):
            raise OperatorError(
                f"job {number} ({found.name}) is over, it {_OVER[found.status]}: there is nothing to cancel",
                hint="`upgrader jobs list --status waiting` shows those that wait",
            )
        if found.is_cancelling:
            return JobOrdered(found, is_changed=False)
        function = identifier(self._schema, "procrastinate_cancel_job_v1").replace("%", "%%")
        (answer,) = self._rows(f"select {function}(%s, true, false) as changed", [number])
        if answer["changed"] is None:
            return self.cancel(number)  # it ended just before
        return JobOrdered(self.job(number), is_changed=True)

    def queues(self) -> Sequence[QueueState]:
        """Give the queues that have jobs."""
        if not self.exists:
            return ()
        rows = self._rows(_QUEUES, [])
        return [QueueState(**{key: value for key, value in row.items() if key != "first"}) for row in rows]

    def _rows(self, query: str, values: Sequence[object]) -> list[DictRow]:
        with translating(), self._allowed(), self._driver.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(self._filled(query), values).fetchall()

    def _filled(self, query: str) -> bytes:
        return query.format(**{key: name.replace("%", "%%") for key, name in self._tables.items()}).encode()

    @contextmanager
    def _allowed(self) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.InsufficientPrivilege as error:
            raise no_rights(self._driver, self._schema) from error
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise OperatorError(
                "the connection is read-only, so that no job can be changed",
                hint="give the URL of the primary server; see to default_transaction_read_only of role and database",
            ) from error


_TRIED_AGAIN = (JobStatus.FAILED, JobStatus.CANCELLED)
_OVER = {
    JobStatus.SUCCEEDED: "succeeded",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "was cancelled",
}


def _record(row: DictRow) -> JobRecord:
    args = row.pop("args")
    try:
        arguments = JobArguments.of_row(args)
    except QueueJobError:  # written by hand
        arguments = JobArguments(args)
    status = JobStatus(row.pop("status"))
    if row["started_at"] is None:
        row["seconds"] = None
    return JobRecord(
        **row,
        status=status,
        payload=arguments.payload,
        dedupe_id=arguments.id,
        attempts=arguments.attempts,
        backoff=arguments.backoff,
    )
