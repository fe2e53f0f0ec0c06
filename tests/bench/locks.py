"""How long readers and writers of a table are held by DDL that cannot get its lock."""

from __future__ import annotations

from tests.bench.findings import Row, Section
from tests.bench.stage import Stage
from tests.support.locks import holding, working
from tests.support.project import Project
from upgrader.events import Event, StepRetried
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions

TRIES = 10
LOCK_TIMEOUT_SECONDS = 2.0
GRACE_SECONDS = 0.5
_PAUSES = {"lock_retry_initial_seconds": 0.1, "lock_retry_max_seconds": 0.5}
_HOLD = ("select count(*) from busy", "update busy set note = 'held' where id = 2")
_WORK = ("select count(*) from busy", "update busy set note = 'x' where id = 1")


def measure(stage: Stage, *, quick: bool) -> Section:
    """Hold a table while a step wants to change it and two sessions work on it; let go after some tries.

    Raises:
        RuntimeError: the step was not completed once the table was free.
    """
    with stage.project("locks") as project:
        with project.connect() as connection:
            connection.execute("create table busy (id int primary key, note text)")
            connection.execute("insert into busy values (1, ''), (2, '')")
        project.fast("1.0.0", 1, "Alter", "alter table busy add column more int")
        row = _measure(project, tries=2 if quick else TRIES)
    note = (
        "[^locks]: One session has read and written the table and does not end its transaction; one reads it over"
        " and over, one writes it. After the last timeout the table is let go, and the step has to succeed."
    )
    return Section([row], [note])


def _measure(project: Project, *, tries: int) -> Row:
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
    return _row(seconds, tries, are_named=all(pid in pids for pids in named))


def _row(seconds: list[float], tries: int, *, are_named: bool) -> Row:
    longest, bar = max(seconds), LOCK_TIMEOUT_SECONDS + GRACE_SECONDS
    named = "named" if are_named else "**not** named"
    return Row(
        f"A table held by somebody, DDL that wants it, lock timeout {LOCK_TIMEOUT_SECONDS:g} s: the longest of all"
        " foreground queries [^locks]",
        f"≤ {bar:g} s",
        f"{longest:.2f} s (of {len(seconds):,}; who held it was {named} at each of {tries} timeouts)",
        longest <= bar and are_named,
    )
