"""The history of a workspace ends when it is deleted."""

from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import NullPool, create_engine

from tests.integration.history import make_history, make_lock
from tests.support.project import Project
from tests.support.results import attempts
from tests.support.server import Role
from upgrader import enroll_workspace, forget_workspace
from upgrader.errors import OperatorError, RefusedError, UnknownWorkspaceError
from upgrader.history.store import AttemptFilter
from upgrader.model import AttemptStatus, Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport

CALL = "select upgrader.forget_workspace(%s)"


def upgrade(project: Project) -> RunReport:
    return project.api().upgrade(UpgradeOptions())


def delete(project: Project, workspace_id: str) -> None:
    with project.connect() as connection:
        connection.execute("delete from core.workspace where id = %s", [workspace_id])


@pytest.fixture
def product(project: Project) -> Project:
    #   1.0.0 w1 w2
    project.create_workspaces("a", "b")
    project.workspace("1.0.0", 1, "First", "create table if not exists first (id int)")
    project.workspace("1.0.0", 2, "Second", "create table if not exists second (id int)")
    return project


def test_delete_and_make_again_in_the_application(product: Project):
    """In one transaction even: the new workspace has its own enrolment and its own attempts."""
    upgrade(product)
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(product.database_url), poolclass=NullPool
    )
    with engine.begin() as connection:
        forget_workspace(connection, "b")
        enroll_workspace(connection, "b", version="start")

    report = upgrade(product)

    assert report.outcome is Outcome.DONE
    assert report.completed == 2
    of_b = [(name, attempt) for name, where, attempt, _ in attempts(product) if where == "b"]
    assert of_b == [("First", 1), ("Second", 1)] * 2
    lives = [row.forgotten_at is None for row in product.api().history(AttemptFilter(workspace_id="b"))]
    assert lives == [True, True, True, False, False, False]


def test_a_new_one_that_nobody_enrolled_stops_the_run(product: Project):
    """Its old steps do not count for it."""
    upgrade(product)
    delete(product, "b")
    assert product.api().forget(["b"]) == 1
    assert upgrade(product).outcome is Outcome.DONE
    product.create_workspaces("c")
    with product.connect() as connection:
        connection.execute("insert into core.workspace values ('b', 'B', 'ACTIVE', 'ws_b')")
    assert set(product.api().plan(UpgradeOptions()).plan.refusals[0].subjects) == {"b", "c"}


def test_rolled_back_it_has_not_happened(product: Project):
    upgrade(product)
    with product.connect(autocommit=False) as connection:
        connection.execute(CALL, ["b"])
        connection.rollback()
    assert upgrade(product).completed == 0


@pytest.mark.parametrize("kind", ["transactional", "not transactional", "data migration"])
def test_while_its_step_runs(product: Project, kind: str):
    """The workspace is left out: nothing of the step counts for a later life of the id."""
    body = (
        "import psycopg\nif ctx.workspace.id == 'b':\n"
        f"    with psycopg.connect({product.database_url!r}) as other:\n"
        "        other.execute(\"select upgrader.forget_workspace('b')\")\n"
        "        other.execute(\"delete from core.workspace where id = 'b'\")\n"
    )
    if kind == "data migration":
        product.workspace("1.0.0", 1, "First", "pass", migrate=body)
    else:
        product.workspace("1.0.0", 1, "First", body, transactional=kind == "transactional")

    report = upgrade(product)

    assert report.error is None
    assert report.failures == []
    live = "select name from upgrader.history where workspace_id = 'b' and forgotten_at is null"
    assert product.query(live) == []
    assert [where for _, where, _, status in attempts(product) if status == "completed"][:2] == ["a", "a"]
    with product.connect() as connection:
        connection.execute("insert into core.workspace values ('b', 'B', 'ACTIVE', 'ws_b')")
        connection.execute("select upgrader.enroll_workspace('b', 'start')")
    product.workspace("1.0.0", 1, "First", "pass")
    assert upgrade(product).outcome is Outcome.DONE
    states = product.query(
        "select status, count(*) from upgrader.history where workspace_id = 'b' and forgotten_at is null"
        " group by status"
    )
    assert states == [("completed", 3)]


@pytest.mark.parametrize("kind", ["transactional", "not transactional", "data migration", "failing"])
@pytest.mark.parametrize("is_running", [True, False], ids=["during the step", "before the step"])
def test_made_anew_while_its_old_life_is_walked(product: Project, kind: str, is_running: bool):
    """Nothing that was planned for the old life counts for the new one, which gets its own steps."""
    upgrade(product)
    #   2.0.0 w10 w11 w12: b is made anew while w10 or w11 runs
    made_anew = (
        "import psycopg\n"
        "if ctx.workspace.id == 'b':\n"
        f"    with psycopg.connect({product.database_url!r}) as other:\n"
        "        if other.execute(\"select to_regclass('core.anew') is null\").fetchone() == (True,):\n"
        "            other.execute('create table core.anew ()')\n"
        "            other.execute(\"select upgrader.forget_workspace('b')\")\n"
        "            other.execute(\"select upgrader.enroll_workspace('b', '1.0.0')\")\n"
    )
    fails = "            other.commit()\n            raise ValueError('old')\n" if kind == "failing" else ""
    body = made_anew + fails if is_running else "pass"
    product.workspace("2.0.0", 10, "Before", "pass" if is_running else made_anew, transactional=False)
    if kind == "data migration":
        product.workspace("2.0.0", 11, "Step", "pass", migrate=body)
    else:
        product.workspace("2.0.0", 11, "Step", body, transactional=kind != "not transactional")
    product.workspace("2.0.0", 12, "After", "pass")

    reports = [upgrade(product), upgrade(product)]

    assert [report.error for report in reports] == [None, None]
    assert reports[-1].outcome is Outcome.DONE
    rows = [row for row in product.api().history(AttemptFilter(workspace_id="b")) if row.version == "2.0.0"]
    alive = [(row.name.split("_")[1], row.attempt, row.status) for row in rows if row.forgotten_at is None]
    assert alive[::-1] == [(name, 1, AttemptStatus.COMPLETED) for name in ("Before", "Step", "After")]
    assert {row.name.split("_")[1] for row in rows if row.forgotten_at} <= {"Before", "Step"}


def test_an_id_that_had_a_life_is_enrolled_by_the_run(product: Project):
    """Because the settings say so: the run does not take its own mark for that of another life."""
    upgrade(product)
    delete(product, "b")
    product.api().forget(["b"])
    with product.connect() as connection:
        connection.execute("insert into core.workspace values ('b', 'B', 'ACTIVE', 'ws_b')")
    product.configure(unenrolled_workspaces="apply-all")

    report = upgrade(product)

    assert (report.outcome, report.completed) == (Outcome.DONE, 2)


def test_what_a_step_wrote_after_it_belongs_to_the_old_life(product: Project):
    """A failure that is recorded when the workspace is gone already."""
    body = (
        "import psycopg\n"
        "is_open = ctx.connection.scalar(text(\"select to_regclass('core.gate') is not null\"))\n"
        "if ctx.workspace.id == 'b' and not is_open:\n"
        f"    with psycopg.connect({product.database_url!r}) as other:\n"
        "        other.execute(\"select upgrader.forget_workspace('b')\")\n"
        "    raise ValueError('gone')\n"
    )
    product.workspace("1.0.0", 1, "First", body)
    upgrade(product)
    with product.connect() as connection:
        connection.execute("create table core.gate ()")
        connection.execute("select upgrader.enroll_workspace('b', '1.0.0')")
    rows = product.query(
        "select status from upgrader.history where workspace_id = 'b' and forgotten_at is null"
    )
    assert rows == [("completed",)]
    assert upgrade(product).outcome is Outcome.DONE


class TestByHand:
    def test_refused_while_it_is_there(self, product: Project):
        """Also out of scope; none of several is forgotten then."""
        product.create_workspaces("out", status="INACTIVE")
        upgrade(product)
        delete(product, "a")
        for still_there in ("b", "out"):
            with pytest.raises(RefusedError, match=f"still in the table core.workspace: {still_there}"):
                product.api().forget(["a", still_there])
        assert product.query("select count(*) from upgrader.history where forgotten_at is not null") == [(0,)]

    def test_unknown(self, product: Project):
        """Never there, or forgotten already."""
        upgrade(product)
        delete(product, "a")
        product.api().forget(["a"])
        for unknown in ("a", "nope"):
            with pytest.raises(UnknownWorkspaceError, match=f"no history to forget of workspace {unknown}"):
                product.api().forget([unknown])

    def test_without_a_table_nothing_says_who_is_deleted(self, product: Project):
        upgrade(product)
        with product.connect() as connection:
            connection.execute("drop table core.workspace")
        with pytest.raises(OperatorError, match="nothing says which workspaces are deleted"):
            product.api().forget(["a"])

    def test_its_quarantine_ends(self, product: Project):
        """A new workspace of that id is not set aside."""
        upgrade(product)
        product.api().quarantine(["b"], reason="broken")
        delete(product, "b")
        product.api().forget(["b"])
        assert dict(product.api().workspaces().quarantined) == {}


class TestFunction:
    def test_role_with_execute_alone(self, database_url: str, make_role: Callable[..., Role]):
        """The application's role needs EXECUTE, no right on any table; nobody else may call it."""
        make_history(database_url)
        role = make_role()
        with psycopg.connect(database_url, autocommit=True) as owner:
            owner.execute("select upgrader.enroll_workspace('42', '1.0.0')")
            with psycopg.connect(role.url(database_url), autocommit=True) as application:
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="forget_workspace"):
                    application.execute(CALL, ["42"])
                owner.execute(f"grant execute on function upgrader.forget_workspace to {role.name}".encode())
                application.execute(CALL, ["42"])
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    application.execute("select from upgrader.quarantine")
            assert owner.execute("select count(*) from upgrader.scope").fetchone() == (0,)

    @pytest.mark.parametrize("workspace_id", [None, ""])
    def test_an_id_is_needed(self, database_url: str, workspace_id: str | None):
        """The instance is no workspace."""
        make_history(database_url)
        with psycopg.connect(database_url) as connection, pytest.raises(psycopg.Error, match="needs the id"):
            connection.execute(CALL, [workspace_id])

    def test_one_that_history_does_not_know(self, database_url: str):
        """Deleting a workspace that was never enrolled is no error."""
        make_history(database_url)
        with psycopg.connect(database_url) as connection:
            connection.execute(CALL, ["42"])

    def test_a_barrier_is_not_passed_meanwhile(self, database_url: str):
        """Nor does it begin while one is being passed."""
        make_history(database_url)
        lock = make_lock(database_url)
        try:
            with psycopg.connect(database_url) as connection:
                connection.execute(CALL, ["42"])
                assert not lock.try_barrier()
            assert lock.try_barrier()
            with psycopg.connect(database_url) as connection:
                connection.execute("set lock_timeout = '50ms'")
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    connection.execute(CALL, ["42"])
        finally:
            lock.close()
