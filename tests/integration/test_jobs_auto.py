"""`--jobs auto` on real servers: up where sleeping steps are, down where they wait for each other or for others."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg

from tests.support.locks import holding
from tests.support.project import Project
from tests.support.server import Role, wait_until
from upgrader.database.pressure import PressureReader
from upgrader.events import Event, LanesChanged
from upgrader.model import Jobs, Outcome, Pressure
from upgrader.runner.options import UpgradeOptions

AUTO = UpgradeOptions(jobs=Jobs.parse("auto"))


def create(project: Project, count: int) -> None:
    project.create_workspaces(*(f"w{number:03}" for number in range(count)))


def test_it_goes_up_where_that_brings_something(project: Project) -> None:
    """Steps that sleep on the server are no burden to each other: twice as many, and twice as many again."""
    create(project, 100)
    project.workspace("1.0.0", 1, "Sleep", "select pg_sleep(0.25)")
    seen: list[Event] = []
    report = project.api(emit=seen.append).upgrade(AUTO)
    assert report.outcome is Outcome.DONE
    assert report.completed == 100
    changes = [(event.before, event.lanes) for event in seen if isinstance(event, LanesChanged)]
    assert changes[:2] == [(2, 4), (4, 8)]
    assert report.highest_lanes >= 8


def test_it_stays_low_where_steps_wait_for_each_other(project: Project) -> None:
    """Steps that all lock one table are no faster together: one at a time, and nobody waits."""
    create(project, 32)
    project.fast("1.0.0", 1, "Shared", "create table public.shared (n int)")
    project.workspace(
        "1.0.0",
        2,
        "Lock",
        """
        ctx.connection.execute(text("lock table public.shared in access exclusive mode"))
        ctx.connection.execute(text("select pg_sleep(0.4)"))
        """,
    )
    done = project.run_cli("upgrade", "--jobs", "auto", "--json", "--verbose")
    assert done.returncode == 0, done.stderr
    jobs = json.loads(done.stdout)["jobs"]
    # A look may come just as one lane hands the table to the other, on a busy machine: then it tries four for a while.
    assert jobs["highest"] in {2, 4}
    assert jobs["last"] == 1
    assert "1 workspace at a time: 1 of 2 lanes wait for locks" in done.stderr


def test_without_the_workspaces_for_it_nothing_is_tried(project: Project) -> None:
    """A run that is over within a window ends as it began; text and JSON say so."""
    create(project, 3)
    project.workspace("1.0.0", 1, "Nothing")
    project.configure(jobs="auto")
    done = project.run_cli("upgrade")
    assert done.returncode == 0, done.stderr
    assert "jobs auto: 2 workspaces at a time at most, 2 at last" in done.stdout
    again = project.run_cli("upgrade", "--json")
    assert json.loads(again.stdout)["outcome"] == "done"


def test_a_role_with_few_connections_gets_few_lanes(
    project: Project, make_role: Callable[..., Role], connection: psycopg.Connection
) -> None:
    """What a role may open limits the lanes; that it is full is no reason not to run."""
    role = make_role("connection limit 7")
    create(project, 40)
    for schema in ["core", *(f"ws_w{number:03}" for number in range(40))]:
        connection.execute(f'grant usage, create on schema {schema} to "{role.name}"'.encode())
    connection.execute(f'grant select on all tables in schema core to "{role.name}"'.encode())
    (name,) = connection.execute("select current_database()").fetchone() or ("",)
    connection.execute(f'grant create on database "{name}" to "{role.name}"'.encode())
    project.workspace("1.0.0", 1, "Sleep", "select pg_sleep(0.4)")
    report = project.api(database_url=role.url(project.database_url)).upgrade(AUTO)
    assert report.outcome is Outcome.DONE
    assert report.highest_lanes <= 3
    assert report.warnings == []


@contextmanager
def waiting(url: str, **settings: str) -> Iterator[None]:
    """Let another session wait for the lock on `t`, to the end of the block."""
    with psycopg.connect(url, autocommit=True, **settings) as other:
        thread = threading.Thread(target=read_t, args=(other,))
        thread.start()
        try:
            with psycopg.connect(url, autocommit=True) as watching:
                wait_until(lambda: is_waiting(watching, other.info.backend_pid))
            yield
        finally:
            other.cancel()
            thread.join(60)


def read_t(other: psycopg.Connection) -> None:
    with suppress(psycopg.errors.QueryCanceled):
        other.execute("select from t")


def is_waiting(watching: psycopg.Connection, pid: int) -> bool:
    return bool(watching.execute("select from pg_locks where not granted and pid = %s", [pid]).fetchall())


def test_pressure_is_read(project: Project, connection: psycopg.Connection) -> None:
    """Who waits, of the run and of others, and who is active; a server without a standby has no lag."""
    connection.execute("create table t (n int)")
    reader = PressureReader(lambda: connection, own=("upgrader/4711",))
    with (
        holding(project, "lock table t in access exclusive mode"),
        waiting(project.database_url),
        waiting(project.database_url, application_name="upgrader/4711"),
    ):
        found = reader.read()
    assert (found.lanes_waiting, found.lock_waits, found.replication_lag_bytes) == (1, 1, 0)
    assert found.active_sessions is not None
    assert found.active_sessions >= 1
    found = reader.read()
    assert (found.lanes_waiting, found.lock_waits) == (0, 0)


def test_what_a_role_may_not_see_is_unknown(
    project: Project, make_role: Callable[..., Role], connection: psycopg.Connection
) -> None:
    """Waits are in the locks, which anybody may read; what others execute is hidden from most roles."""
    connection.execute("create table t (n int)")
    with (
        psycopg.connect(make_role().url(project.database_url), autocommit=True) as seeing,
        holding(project, "lock table t in access exclusive mode"),
        waiting(project.database_url),
    ):
        found = PressureReader(lambda: seeing, own=("upgrader/4711",)).read()
    assert (found.lanes_waiting, found.lock_waits, found.active_sessions) == (0, 1, None)


def test_a_connection_that_is_gone_is_no_error(connection: psycopg.Connection) -> None:
    """Whatever is wrong with it shows elsewhere."""
    connection.close()
    assert PressureReader(lambda: connection, own=()).read() == Pressure()
