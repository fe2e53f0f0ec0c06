"""How long readers and writers of a table are held by DDL that cannot get its lock."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.stage import Stage
from tests.support.locks import holding, working
from tests.support.project import Project
from upgrader.events import Event, StepRetried
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions

TRIES = 10
LOCK_TIMEOUT_SECONDS = 2.0
_PAUSES = {"lock_retry_initial_seconds": 0.1, "lock_retry_max_seconds": 0.5}
_HOLD = ("select count(*) from busy", "update busy set note = 'held' where id = 2")
_WORK = ("select count(*) from busy", "update busy set note = 'x' where id = 1")


@dataclass(frozen=True)
class Held:
    """What was measured.

    Attributes:
        longest_seconds: the worst of all foreground queries.
        queries: how many there were.
        tries: in how many the DDL did not get its lock, before the table was let go.
        are_named: whether each of these tries named who was in the way.
    """

    lock_timeout_seconds: float
    longest_seconds: float
    queries: int
    tries: int
    are_named: bool


def measure(stage: Stage, *, quick: bool) -> Held:
    """Hold a table while a step wants to change it and two sessions work on it; let go after some tries.

    Raises:
        RuntimeError: the step was not completed once the table was free.
    """
    with stage.project("locks") as project:
        with project.connect() as connection:
            connection.execute("create table busy (id int primary key, note text)")
            connection.execute("insert into busy values (1, ''), (2, '')")
        project.fast("1.0.0", 1, "Alter", "alter table busy add column more int")
        return _measure(project, tries=2 if quick else TRIES)


def _measure(project: Project, *, tries: int) -> Held:
    retries: list[StepRetried] = []
    with holding(project, *_HOLD) as holder, working(project.database_url, *_WORK) as foregrounds:
        pid = holder.info.backend_pid

        def let_go(event: Event) -> None:
            if isinstance(event, StepRetried):
                retries.append(event)
                if len(retries) == tries:
                    holder.rollback()

        api = project.api(
            emit=let_go, lock_timeout_seconds=LOCK_TIMEOUT_SECONDS, lock_tries=tries + 10, **_PAUSES
        )
        report = api.upgrade(UpgradeOptions())
    if report.outcome is not Outcome.DONE:
        raise RuntimeError(f"the step was not completed: {report.failures}")
    named = [{blocker.pid for blocker in event.blockers} for event in retries[:tries]]
    seconds = [one for foreground in foregrounds for one in foreground.seconds]
    return Held(
        LOCK_TIMEOUT_SECONDS, max(seconds), len(seconds), tries, are_named=all(pid in pids for pids in named)
    )
