"""Poolers in between: a worker refuses one that takes sessions apart, an application adds jobs through any."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import create_engine

from tests.support.pgbouncer import PROGRAM, pgbouncer
from tests.support.pooler import pooling
from tests.support.project import Project
from tests.support.queue_hosts import Mails, consuming
from tests.support.worker_queue import QueueGround
from upgrader.errors import OperatorError, PreflightError
from upgrader.settings import Settings
from upgrader.worker import JobQueue
from upgrader.worker.ground import open_ground
from upgrader.worker.layout import bring_up_to_date

needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not installed on this machine")
_NO_LOCKS = (
    "select count(*) from pg_locks where locktype = 'advisory'"
    " and database = (select oid from pg_database where datname = current_database())"
)


def test_a_worker_behind_a_pool_of_transactions_is_refused(project: Project) -> None:
    """At its start, with the way out; nothing was written."""
    with pooling(project.database_url, size=3) as pooler:
        refused = project.run_cli("--database-url", pooler.url, "worker")
    assert refused.returncode == 2, refused.stderr
    assert "error: a proxy stands before" in refused.stderr
    assert "hint: give a direct URL in worker.queue_database_url" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert project.query("select to_regnamespace('upgrader_worker') is null") == [(True,)]


@needs_pgbouncer
@pytest.mark.parametrize(("mode", "size"), [("transaction", "5"), ("statement", "5"), ("session", "1")])
def test_pgbouncer_that_a_worker_cannot_live_with(database_url: str, mode: str, size: str) -> None:
    """The kinds that hand a session on, and one that has no second session to give."""
    lenient = {"ignore_startup_parameters": "extra_float_digits,options", "query_wait_timeout": "2"}
    with (
        pgbouncer(database_url, pool_mode=mode, default_pool_size=size, **lenient) as url,
        pytest.raises(OperatorError, match="a proxy stands before"),
        open_ground(Settings.model_validate({"database_url": url})),
    ):
        raise AssertionError


def test_a_check_that_is_ignored(database_url: str) -> None:
    """The operator answers for it, as for a run."""
    settings = {"preflight": {"ignore": ["pooling-proxy"]}}
    with (
        pooling(database_url, size=1) as pooler,
        open_ground(Settings.model_validate({"database_url": pooler.url, **settings})) as ground,
    ):
        assert ground.worker


def test_a_worker_behind_a_pool_of_sessions_works(ground: QueueGround) -> None:
    """It keeps each session whole."""
    mails = Mails()
    with (
        pooling(ground.url, size=20, by_session=True) as pooler,
        open_ground(Settings.model_validate({"database_url": pooler.url})),
        consuming(pooler.url, mails),
    ):
        ground.queue.add("mails", "send")
        mails.wait_for(1)


@pytest.mark.parametrize("size", [1, 2])
def test_jobs_are_added_through_a_pool_of_transactions(
    ground: QueueGround, connection: psycopg.Connection, size: int
) -> None:
    """One that takes no settings of sessions, as PgBouncer by default: each is added once."""
    bring_up_to_date(connection, "upgrader_worker")
    with pooling(ground.url, size=size, takes_options=False) as pooler:
        queue = JobQueue.at(pooler.url)
        for number in range(12):  # more often than a driver takes to prepare statements
            assert queue.add("mails", "send", {"n": number}) is not None
        assert queue.add("mails", "once", id="x") is not None
        assert queue.add("mails", "once", id="x") is None
        queue.add_cron("mails", "daily", cron="0 0 3 * * *")
        queue.close()
    counted = "select task_name, count(*) from upgrader_worker.procrastinate_jobs group by 1 order by 1"
    assert connection.execute(counted).fetchall() == [("once", 1), ("send", 12)]
    assert connection.execute("select name from upgrader_worker.recurring_job").fetchall() == [("daily",)]


@needs_pgbouncer
def test_jobs_are_added_through_pgbouncer(ground: QueueGround, connection: psycopg.Connection) -> None:
    """As it is by default, with the settings' URL and on a SQLAlchemy connection of the application."""
    with pgbouncer(ground.url, pool_mode="transaction") as url:
        with JobQueue.of_settings(Settings.model_validate({"database_url": url})) as queue:
            for number in range(12):
                queue.add("mails", "send", {"n": number})
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as mine:
            JobQueue().add("mails", "send", connection=mine)
        with engine.connect() as mine:
            JobQueue().add("mails", "never", connection=mine)
        engine.dispose()
    counted = "select task_name, count(*) from upgrader_worker.procrastinate_jobs group by 1"
    assert connection.execute(counted).fetchall() == [("send", 13)]


def test_no_part_in_a_run_through_a_pool_of_transactions(project: Project) -> None:
    """A worker's fence would stay with whoever comes next, and hold up runs to come: it takes none."""
    project.fast("1.0.0", 1, "AddThing")
    with pooling(project.database_url, size=2) as pooler:
        with (
            pytest.raises(PreflightError, match="pools by transaction"),
            project.api(database_url=pooler.url).taking_part("0123"),
        ):
            raise AssertionError
        assert project.query(_NO_LOCKS) == [(0,)]
