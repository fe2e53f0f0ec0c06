"""Enrolling a workspace from the application that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.exc import DBAPIError, ProgrammingError

from tests.integration.history import backend_pid, make_history, make_lock
from tests.support.server import Role
from upgrader import enroll_workspace
from upgrader.history.run_lock import RunLock
from upgrader.history.workspace_functions import ENROLLED_ALREADY

CALL = "select upgrader.enroll_workspace(%s, %s)"


@pytest.fixture
def history(database_url: str) -> str:
    """The URL of a database with an empty history."""
    make_history(database_url)
    return database_url


@pytest.fixture
def application(history: str, make_role: Callable[..., Role]) -> Iterator[psycopg.Connection]:
    """A role that may call the function and nothing else."""
    role = make_role()
    with psycopg.connect(history) as owner:
        owner.execute(f"grant execute on function upgrader.enroll_workspace to {role.name}".encode())
    with psycopg.connect(role.url(history), autocommit=True) as connection:
        yield connection


@pytest.fixture
def engine(history: str) -> Engine:
    return create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(history), poolclass=NullPool
    )


def marks(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select workspace_id, name, version, status, is_initial from upgrader.history order by id"
        ).fetchall()


class TestFunction:
    def test_role_with_execute_alone(self, application: psycopg.Connection, history: str):
        """The application's role needs EXECUTE, no right on any table."""
        application.execute(CALL, ["42", "1.22.0"])

        assert marks(history) == [("42", "1.22.0_enrolment", "1.22.0", "completed", True)]
        for table in ("history", "scope", "meta", "run"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                application.execute(f"select * from upgrader.{table}".encode())

    def test_role_without_execute(self, history: str, make_role: Callable[..., Role]):
        """Nobody else may call it, or any other function that writes."""
        with psycopg.connect(make_role().url(history), autocommit=True) as stranger:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="enroll_workspace"):
                stranger.execute(CALL, ["42", "1.22.0"])
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                stranger.execute("select upgrader.rebuild_scope('42')")
        assert marks(history) == []

    def test_twice_the_same(self, application: psycopg.Connection, history: str):
        """A call that is repeated changes nothing."""
        for _ in range(3):
            application.execute(CALL, ["42", "1.22.0"])

        assert len(marks(history)) == 1

    def test_another_version(self, application: psycopg.Connection, history: str):
        """A workspace has one enrolment; another one is refused and the first stays."""
        application.execute(CALL, ["42", "1.22.0"])

        with pytest.raises(psycopg.Error, match=r"workspace 42 is enrolled at 1\.22\.0 already") as told:
            application.execute(CALL, ["42", "1.23.0"])

        assert told.value.sqlstate == ENROLLED_ALREADY
        assert [row[2] for row in marks(history)] == ["1.22.0"]

    @pytest.mark.parametrize(
        "version", ["start", "1.22.0", "0.0.1", "10.20.30", "1.22.0rc1", "1.22.0a1", "1.22.0b12"]
    )
    def test_versions(self, application: psycopg.Connection, history: str, version: str):
        """The beginning, releases and pre-releases are taken."""
        application.execute(CALL, ["42", version])

        assert [row[2] for row in marks(history)] == [version]

    @pytest.mark.parametrize(
        "version",
        [
            None,
            "",
            "1",
            "1.22",
            "1.22.0.0",
            "v1.22.0",
            "1.22.0-rc1",
            "1.22.0 ",
            "1.22.0\n",
            "1.22.0+local",
            "1.22.0.dev1",
            "current",
            "START",
            "'; drop table x",
        ],
        ids=repr,
    )
    def test_what_is_no_version(self, application: psycopg.Connection, history: str, version: str | None):
        """Anything else is refused with what to write."""
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="is not a release version") as told:
            application.execute(CALL, ["42", version])

        assert told.value.diag.message_hint == "write MAJOR.MINOR.PATCH, for example '1.22.0'"
        assert marks(history) == []

    @pytest.mark.parametrize("id_", [None, ""])
    def test_without_an_id(self, application: psycopg.Connection, history: str, id_: str | None):
        """The instance cannot be enrolled by mistake."""
        with pytest.raises(psycopg.errors.NullValueNotAllowed, match="needs the id of a workspace"):
            application.execute(CALL, [id_, "1.22.0"])

        assert marks(history) == []

    def test_is_blind_to_search_path(self, application: psycopg.Connection, history: str):
        """What runs with its owner's rights cannot be led to other objects."""
        application.execute("create temp table scope (workspace_id text, enrolled text)")
        application.execute("set search_path = pg_temp, pg_catalog")
        application.execute(CALL, ["42", "1.22.0"])

        assert len(marks(history)) == 1

    def test_after_failed_steps(self, application: psycopg.Connection, history: str):
        """A workspace that has rows but no mark can be enrolled."""
        with psycopg.connect(history) as owner:
            owner.execute(
                "insert into upgrader.history"
                " (name, kind, version, workspace_id, status, attempt, executed_by_version, checksum)"
                " values ('1.0.0_A_1', 'workspace', '1.0.0', '42', 'failed', 1, '1', '')"
            )
        application.execute(CALL, ["42", "1.22.0"])

        assert marks(history)[-1] == ("42", "1.22.0_enrolment", "1.22.0", "completed", True)

    def test_through_a_thousand_it_uses_the_index(self, history: str):
        """Looking a workspace up does not read all the others."""
        with psycopg.connect(history) as owner:
            owner.execute(
                "insert into upgrader.scope (workspace_id) select g::text from generate_series(1, 20000) g"
            )
            owner.execute("analyze upgrader.scope")
            owner.commit()
            owner.execute(CALL, ["42", "1.22.0"])
            scans = owner.execute(
                "select seq_scan, idx_scan > 0 from pg_stat_xact_user_tables where relname = 'scope'"
            )
            assert scans.fetchone() == (0, True)


class TestPython:
    def test_is_part_of_the_transaction(self, engine: Engine, history: str):
        """Enrolment and workspace are there together, or neither."""
        with engine.connect() as connection:
            enroll_workspace(connection, "42", version="1.22.0")
            connection.rollback()
        assert marks(history) == []

        with engine.begin() as connection:
            enroll_workspace(connection, "42", version="1.22.0")
        assert len(marks(history)) == 1

    @pytest.mark.parametrize(
        ("id_", "text"),
        [
            (7, "7"),
            (UUID("12345678-1234-5678-1234-567812345678"), "12345678-1234-5678-1234-567812345678"),
            ("it's :x %s", "it's :x %s"),
        ],
    )
    def test_id_of_any_type(self, engine: Engine, history: str, id_: object, text: str):
        """The id is what the id column holds, of its own type."""
        with engine.begin() as connection:
            enroll_workspace(connection, id_, version="start")

        assert [row[0] for row in marks(history)] == [text]

    @pytest.mark.parametrize("schema", ["My :History", "100%", 'say "no"'])
    def test_schema_of_any_name(self, engine: Engine, database_url: str, schema: str):
        """Another history schema is named as it is."""
        make_history(database_url, schema)
        with engine.begin() as connection:
            enroll_workspace(connection, "42", version="1.22.0", schema=schema)

        assert marks(database_url) == []

    def test_error_of_the_database_passes_through(self, engine: Engine):
        """What the function refuses arrives as a database error."""
        with pytest.raises(DBAPIError, match="is not a release version"), engine.begin() as connection:
            enroll_workspace(connection, "42", version="soon")

    def test_without_a_history(self, database_url: str):
        """A database that was never upgraded has no such function."""
        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database_url))
        with pytest.raises(ProgrammingError, match="upgrader"), engine.begin() as connection:
            enroll_workspace(connection, "42", version="1.22.0")


class TestBarrier:
    @pytest.fixture
    def lock(self, history: str) -> Iterator[RunLock]:
        lock = make_lock(history)
        yield lock
        lock.close()

    def test_barrier_waits_for_an_enrolment(self, lock: RunLock, application: psycopg.Connection):
        """While a workspace is being made, the barrier is not passed; the run can say who makes it."""
        with application.transaction():
            application.execute(CALL, ["42", "1.22.0"])
            assert not lock.try_barrier()
            assert [holder.pid for holder in lock.barrier_holders()] == [backend_pid(application)]

        assert lock.try_barrier()

    def test_enrolment_waits_for_a_barrier(
        self, lock: RunLock, application: psycopg.Connection, history: str
    ):
        """While a barrier is being passed, an enrolment waits, and goes on after it."""
        assert lock.try_barrier()
        application.execute("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            application.execute(CALL, ["42", "1.22.0"])
        assert marks(history) == []

        lock.release_barrier()
        application.execute(CALL, ["42", "1.22.0"])
        assert len(marks(history)) == 1

    def test_enrolments_do_not_wait_for_each_other(self, application: psycopg.Connection, history: str):
        """Two workspaces are made at the same time."""
        with psycopg.connect(history) as other, application.transaction():
            application.execute(CALL, ["42", "1.22.0"])
            other.execute("set lock_timeout = '5s'")
            other.execute(CALL, ["43", "1.22.0"])

        assert {row[0] for row in marks(history)} == {"42", "43"}
