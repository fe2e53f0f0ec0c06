"""Backfills where nothing is kept: dry runs, scripts, checks, and an author's tests."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text

from tests.integration.backfill.place import COUNT_UP, counters, make_items, upgrade
from tests.support.project import Project
from upgrader import (
    DataMigrationContext,
    WorkspaceContext,
    backfill_table,
    instance_command,
    workspace_command,
)
from upgrader.backfill.options import BackfillOptions
from upgrader.errors import StepError
from upgrader.model import Outcome, Workspace
from upgrader.testing import run_command


def dry_run(project: Project, rows: int = 10_000):
    return upgrade(project, dry_run=True, backfill=BackfillOptions(dry_run_rows=rows))


@pytest.mark.parametrize("key", ["primary key", ""], ids=["key", "ctid"])
def test_a_dry_run_goes_through_all_rows(project: Project, key: str):
    """What fails at any row is found; nothing is kept, no checkpoint either."""
    make_items(project, key=key)
    project.slow("1.0.0", 1, "Fill", "alter table item add check (counter = 1)", migrate=COUNT_UP)
    report = dry_run(project)
    assert report.outcome is Outcome.DONE
    assert report.not_simulated == []
    assert counters(project) == [(0, 100)]
    assert project.query("select to_regnamespace('upgrader')") == [(None,)]


def test_a_dry_run_on_a_sample(project: Project):
    """It says so, and does not take for a failure what only fails for the rows that are left out."""
    make_items(project)
    project.slow("1.0.0", 1, "Fill", "alter table item add check (counter = 1)", migrate=COUNT_UP)
    project.slow("1.0.0", 2, "Later", "create table later ()")
    report = dry_run(project, rows=25)
    assert report.outcome is Outcome.DONE
    assert [entry.step.class_name for entry in report.not_simulated] == ["Fill", "Fill"]
    assert report.not_simulated[0].reason == "its backfill is tried on the first 25 rows of item only"
    assert "fails without them" in report.not_simulated[1].reason
    assert counters(project) == [(0, 100)]


def test_a_dry_run_tells_a_real_failure_on_a_sample(project: Project):
    """An error that has nothing to do with rows is one all the same."""
    make_items(project)
    project.slow("1.0.0", 1, "Fill", "alter table item add check (none = 1)", migrate=COUNT_UP)
    assert dry_run(project, rows=25).outcome is Outcome.FAILED


def test_the_flag_of_the_command_line(project: Project):
    """`--dry-run-rows` sets the sample; the report names it."""
    make_items(project)
    project.slow("1.0.0", 1, "Fill", migrate=COUNT_UP)
    found = project.run_cli("upgrade", "--include-slow", "--dry-run", "--dry-run-rows", "30")
    assert found.returncode == 0, found.stderr
    assert "the first 30 rows of item only" in found.stdout + found.stderr


def test_the_flags_that_contradict_each_other(project: Project):
    """One of two ways to go on."""
    found = project.run_cli("upgrade", "--restart-backfill", "--keep-checkpoint")
    assert found.returncode == 2
    assert "--restart-backfill and --keep-checkpoint contradict each other" in found.stderr


@pytest.mark.parametrize("is_outside", [False, True], ids=["data migration", "autocommit"])
def test_the_script_shows_the_statements(project: Project, is_outside: bool):
    """`sql` writes the batches down as they would be sent, and nothing of the walk's own."""
    make_items(project, 20)
    if is_outside:
        body = 'backfill_table(connection, "item", set_={"counter": "7"}, batch_size=10)'
        body = f"from upgrader import backfill_table\n{body}"
        project.fast("1.0.0", 1, "Fill", body, transactional=False)
    else:
        project.slow("1.0.0", 1, "Fill", migrate='ctx.backfill("item", set_={"counter": "7"}, batch_size=10)')
    found = project.run_cli("sql", "--include-slow")
    assert found.returncode == 0, found.stderr
    assert "where (public.item.id <= 10)" in found.stdout.replace('"', "").lower()
    assert "where (public.item.id > 10 and public.item.id <= 20)" in found.stdout.replace('"', "").lower()
    assert "explain" not in found.stdout.lower()
    assert "upgrader_look" not in found.stdout
    assert "NOT WHOLE" not in found.stdout
    assert counters(project) == [(0, 20)]


def test_a_script_of_a_sample_says_so(project: Project):
    """What comes after the rows that were tried is not shown, and that is said."""
    make_items(project, 10_050)
    project.slow("1.0.0", 1, "Fill", migrate='ctx.backfill("item", set_={"counter": "7"})')
    found = project.run_cli("sql", "--include-slow")
    assert found.returncode == 0, found.stderr
    assert "NOT WHOLE: its backfill is tried on the first 10,000 rows of item only" in found.stdout


def test_a_statement_is_tried_on_an_empty_table_too(project: Project):
    """A dry run, and so the check of a pipeline with its empty database, finds a column that is not there."""
    make_items(project, 0)
    project.slow("1.0.0", 1, "Fill", migrate='ctx.backfill("item", set_={"counterr": "1"})')
    assert dry_run(project).outcome is Outcome.FAILED


@instance_command("1.0.0", 1, "slow")
class CountUp:
    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        ctx.backfill("item", set_={"counter": "counter + 1"}, batch_size=7)
        for batch in ctx.batches("item", label="loop", batch_size=7):
            batch.connection.execute(text(f"update item set counter = counter + 1 where {batch.where}"))

    def up(self, connection) -> None:
        pass


@instance_command("1.0.0", 2, transactional=False)
class CountUpOutside:
    def up(self, connection) -> None:
        backfill_table(connection, "item", set_={"counter": "counter + 1"}, batch_size=7)


@workspace_command("1.0.0", 3)
class LeavesALoop:
    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        for _ in ctx.batches("item", batch_size=7):
            break

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        pass


def test_an_authors_test(project: Project):
    """`run_command` runs backfills in the transaction of the test, which rolls back."""
    make_items(project, 20)
    engine = create_engine("postgresql+psycopg://", creator=lambda: project.connect(autocommit=False))
    with engine.connect() as connection:
        run_command(CountUp, connection)
        assert connection.execute(text("select distinct counter from item")).scalars().all() == [2]
        connection.rollback()
        with pytest.raises(StepError, match="was left before its end"):
            run_command(LeavesALoop, connection, workspace=Workspace("a", schema="public"))
    assert counters(project) == [(0, 20)]


def test_an_authors_test_of_a_command_outside_a_transaction(project: Project):
    """On a connection in autocommit the batches commit."""
    make_items(project, 20)
    engine = create_engine("postgresql+psycopg://", creator=project.connect)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        run_command(CountUpOutside, connection)
    assert counters(project) == [(1, 20)]
