"""The dry run: finds what would fail, and leaves the database as it was."""

import pytest

from tests.support.project import Project
from tests.support.results import snapshot
from upgrader.demo.example import demo_commands
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport


def dry_run(project: Project, *, settings: dict[str, object] | None = None, **options: object) -> RunReport:
    """Run it dry and hold that nothing has changed."""
    before = snapshot(project)
    report = project.api(**(settings or {})).upgrade(UpgradeOptions(dry_run=True, **options))  # type: ignore[arg-type]  # by name
    assert snapshot(project) == before
    return report


def failed(report: RunReport) -> list[tuple[str, str | None]]:
    return [(failure.step.class_name, failure.scope.workspace_id) for failure in report.failures]


def not_simulated(report: RunReport) -> list[str]:
    return [entry.step.class_name for entry in report.not_simulated]


@pytest.fixture
def three(project: Project) -> Project:
    project.create_workspaces("a", "b", "c")
    with project.connect() as connection:
        connection.execute("create table core.invoice (id int primary key, total int)")
        connection.execute("insert into core.invoice values (1, 10), (2, 20)")
        for workspace in ("a", "b", "c"):
            connection.execute(f"create table ws_{workspace}.item (id int, note text)".encode())
            connection.execute(f"insert into ws_{workspace}.item values (1, 'x')".encode())
    return project


def test_database_without_history_stays_without(three: Project):
    """Two versions over three workspaces; the second sees what the first did."""
    three.fast("1.0.0", 1, "AddColumn", "alter table core.invoice add column currency text")
    three.workspace("1.0.0", 2, "AddToItem", "alter table item add column size int")
    three.fast("1.1.0", 3, "UseColumn", "update core.invoice set currency = 'EUR'")
    three.workspace("1.1.0", 4, "UseItem", "update item set size = 1")
    report = dry_run(three)
    assert (report.outcome, failed(report), report.completed) == (Outcome.DONE, [], 8)
    assert report.is_first
    assert report.simulated_to is None
    assert three.query("select to_regnamespace('upgrader')") == [(None,)]


def test_database_with_history_stays_as_it_is(three: Project):
    """No attempt is written, no identity used up in a table that shows."""
    three.fast("1.0.0", 1, "First")
    three.api().upgrade(UpgradeOptions())
    three.fast("1.1.0", 2, "Second", "insert into core.invoice values (3, 30)")
    assert dry_run(three).completed == 1


def test_all_failures_of_a_segment_are_found(three: Project):
    """Each workspace is tried; one that fails does not disturb the next. It ends at the barrier."""
    three.workspace(
        "1.0.0",
        1,
        "MayFail",
        "ctx.connection.execute(text('insert into item values (2)'))\nassert ctx.workspace.id == 'b'",
    )
    three.workspace("1.0.0", 2, "Next")
    three.fast("1.1.0", 3, "Beyond")
    report = dry_run(three)
    assert report.outcome is Outcome.FAILED
    assert failed(report) == [("MayFail", "a"), ("MayFail", "c")]
    assert [name for name in report.steps if "Beyond" in name] == []
    assert str(report.simulated_to) == "1.0.0"


def test_failing_instance_step_ends_it(three: Project):
    """As in a real run."""
    three.fast("1.0.0", 1, "Fails", "select 1/0")
    three.fast("1.0.0", 2, "After")
    report = dry_run(three)
    assert (report.outcome, failed(report)) == (Outcome.FAILED, [("Fails", None)])


def test_deferred_constraint_is_checked_after_each_step(three: Project):
    """What COMMIT would find, the dry run finds, at its step; a constraint that holds is left deferred."""
    with three.connect() as connection:
        connection.execute(
            "create table core.line (invoice int references core.invoice deferrable initially deferred)"
        )
    three.fast(
        "1.0.0", 1, "Repairs", "insert into core.line values (3); insert into core.invoice values (3, 1)"
    )
    three.fast("1.0.0", 2, "Violates", "insert into core.line values (99)")
    report = dry_run(three)
    assert failed(report) == [("Violates", None)]
    assert "23503" in str(report.failures[0].error)


def test_new_enum_value_in_the_same_version_is_not_simulated(three: Project):
    """Only one transaction makes it fail: it is listed, and is no failure."""
    with three.connect() as connection:
        connection.execute("create type core.state as enum ('open')")
        connection.execute("alter table core.invoice add column state core.state")
    three.fast("1.0.0", 1, "AddValue", "alter type core.state add value 'paid'")
    three.workspace("1.0.0", 2, "UseValue", "update core.invoice set state = 'paid'")
    report = dry_run(three)
    assert report.outcome is Outcome.DONE
    assert not_simulated(report) == ["UseValue"]
    assert three.api().upgrade(UpgradeOptions()).failures == []


def test_non_transactional_step_and_what_needs_it_are_not_simulated(three: Project):
    """Listed, never as failed."""
    three.fast("1.0.0", 1, "Outside", "create table core.made_outside (id int)", transactional=False)
    three.workspace("1.0.0", 2, "NeedsIt", "select * from core.made_outside")
    three.workspace("1.0.0", 3, "NeedsNothing", "update item set note = 'y'")
    report = dry_run(three)
    assert report.outcome is Outcome.DONE
    assert not_simulated(report) == ["Outside", "NeedsIt"]


def test_slow_steps_and_their_data_migration_are_tried(three: Project):
    """With `--include-slow`: the migration works in the run's own transaction, nothing is committed."""
    three.slow(
        "1.0.0",
        1,
        "Fill",
        "alter table core.invoice alter column total set not null",
        migrate="""
        assert ctx.dry_run
        for _ in range(2):
            with ctx.transaction() as connection:
                connection.execute(text("update core.invoice set total = total + 1"))
        """,
    )
    assert dry_run(three).completed == 0
    assert dry_run(three, include_slow=True).completed == 1
    three.slow("1.0.0", 1, "Fill", "select 1/0", migrate="pass")
    assert failed(dry_run(three, include_slow=True)) == [("Fill", None)]


def test_commands_are_told_that_it_is_dry(three: Project):
    """`ctx.dry_run`."""
    three.workspace("1.0.0", 1, "Told", "assert ctx.dry_run")
    assert dry_run(three).failures == []
    assert len(three.api().upgrade(UpgradeOptions()).failures) == 3


def test_tables_that_were_locked_exclusively_are_named(three: Project):
    """Existing ones only, those of workspaces under one name."""
    three.fast(
        "1.0.0", 1, "Alter", "alter table core.invoice add column a int; create table core.new (id int)"
    )
    three.workspace("1.0.0", 2, "AlterItem", "alter table item add column b int")
    report = dry_run(three)
    assert {lock.table for lock in report.table_locks} == {"core.invoice", "<workspace>.item"}
    assert all(lock.seconds >= 0 for lock in report.table_locks)


def test_lock_limit_begins_anew_and_still_finds_every_planted_failure(three: Project):
    """Past the limit each workspace is undone, the instance steps are replayed, and nothing is overlooked."""
    ids = [f"n{number:02}" for number in range(12)]
    three.create_workspaces(*ids)
    with three.connect() as connection:
        for workspace in ids:
            connection.execute(f"create table ws_{workspace}.item (id int, note text)".encode())
    three.fast("1.0.0", 1, "Instance", "alter table core.invoice add column replayed int")
    three.workspace(
        "1.0.0",
        2,
        "MayFail",
        """
        ctx.connection.execute(text("alter table item add column b int"))
        ctx.connection.execute(text("select replayed from core.invoice"))
        ctx.connection.execute(text("select pg_sleep(0.06)"))
        assert ctx.workspace.id not in ("b", "n03", "n11")
        """,
    )
    three.fast("1.1.0", 3, "Beyond", "select 1/0")
    report = dry_run(three, settings={"dry_run_lock_seconds": 0.25})
    assert failed(report) == [("MayFail", "b"), ("MayFail", "n03"), ("MayFail", "n11")]
    (segment,) = report.segments.values()
    assert (segment.done, segment.failed) == (12, 3)


def test_lock_limit_ends_it_at_the_first_barrier_and_says_so(three: Project):
    """Beyond the barrier the effects would have to be kept."""
    three.workspace(
        "1.0.0",
        1,
        "Slowly",
        "ctx.connection.execute(text('alter table item add column b int'))\n"
        "ctx.connection.execute(text('select pg_sleep(0.02)'))",
    )
    three.fast("1.1.0", 2, "Beyond", "select 1/0")
    report = dry_run(three, settings={"dry_run_lock_seconds": 0.01})
    assert report.outcome is Outcome.DONE
    assert str(report.simulated_to) == "1.0.0"
    assert any("1.1.0" in warning for warning in report.warnings)


def test_misbehaving_commands_are_found_as_in_a_real_run(three: Project):
    """A commit, a temp table, a session lock: each fails its step, the others are tried."""
    three.workspace(
        "1.0.0",
        1,
        "Misbehaves",
        """
        if ctx.workspace.id == "a":
            ctx.connection.commit()
        if ctx.workspace.id == "b":
            ctx.connection.connection.driver_connection.execute("commit")
        ctx.connection.execute(text("update item set note = 'changed'"))
        """,
    )
    assert failed(dry_run(three)) == [("Misbehaves", "a"), ("Misbehaves", "b")]


def test_workspace_whose_schema_is_missing_is_found(three: Project):
    """As a failure of its first step."""
    with three.connect() as connection:
        connection.execute("drop schema ws_b cascade")
    three.workspace("1.0.0", 1, "Make", "create table made (id int)")
    report = dry_run(three)
    assert failed(report) == [("Make", "b")]
    assert "schema" in str(report.failures[0].error)


def test_filters_and_barriers_hold_for_a_dry_run(three: Project):
    """A deferred slow step stops it before the next version, as it would a real run."""
    three.slow("1.0.0", 1, "Slow")
    three.fast("1.1.0", 2, "Beyond")
    report = dry_run(three)
    assert report.outcome is Outcome.STOPPED_AT_BARRIER
    assert report.completed == 0


def test_dry_run_of_the_worked_example(demo_project: Project):
    """All versions of the example over 244 workspaces, slow steps too."""
    demo_project.configure(commands=[str(demo_commands())], app_version="1.23.0")
    report = dry_run(demo_project, include_slow=True)
    assert report.failures == []
    assert report.outcome is Outcome.DONE


@pytest.mark.parametrize(
    ("outside", "needs_it"),
    [
        ("alter type core.kind add value 'new'", "select 'new'::core.kind"),
        (
            "update core.thing set name = '' where name is null",
            "alter table core.thing alter name set not null",
        ),
        (
            "create unique index concurrently thing_id on core.thing (id)",
            "insert into core.thing (id) values (1) on conflict (id) do nothing",
        ),
    ],
)
def test_what_needs_a_step_outside_a_transaction_has_not_failed(
    project: Project, outside: str, needs_it: str
):
    """A value, a backfill, an index that are not there yet: not simulated, and the real run is fine."""
    with project.connect() as connection:
        connection.execute(
            "create schema core; create type core.kind as enum ('old');"
            " create table core.thing (id int, name text); insert into core.thing values (1, null)"
        )
    project.fast("1.0.0", 1, "Outside", outside, transactional=False)
    project.fast("1.0.0", 2, "NeedsIt", needs_it)
    report = project.api().upgrade(UpgradeOptions(dry_run=True))
    assert report.failures == []
    assert [entry.step.name for entry in report.not_simulated] == ["1.0.0_Outside_1", "1.0.0_NeedsIt_2"]
    assert project.api().upgrade(UpgradeOptions()).failures == []


def test_a_temporary_table_that_is_left_is_found(three: Project):
    """As in a real run; one that ends with the transaction is fine."""
    three.workspace("1.0.0", 1, "Fine", "create temp table scratch on commit drop as select 1")
    three.workspace("1.0.0", 2, "Leaves", "create temp table forgotten ()")
    report = dry_run(three)
    assert failed(report) == [("Leaves", "a"), ("Leaves", "b"), ("Leaves", "c")]
    assert "temporary table forgotten" in str(report.failures[0].error)


def test_an_instance_step_that_only_one_transaction_makes_fail_ends_nothing(three: Project):
    """It is undone and listed; what comes after it is still looked at."""
    with three.connect() as connection:
        connection.execute("create type core.state as enum ('open')")
        connection.execute("alter table core.invoice add column state core.state")
    three.fast("1.0.0", 1, "AddValue", "alter type core.state add value 'paid'")
    three.fast("1.0.0", 2, "UseValue", "update core.invoice set state = 'paid'")
    three.fast("1.0.0", 3, "Fails", "select 1/0")
    report = dry_run(three)
    assert not_simulated(report) == ["UseValue"]
    assert failed(report) == [("Fails", None)]
