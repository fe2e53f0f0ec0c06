"""From a command that runs to a finding at its line: capture and lint together, on a real server."""

from __future__ import annotations

from pathlib import Path

from tests.integration.test_capture import line_of
from tests.support.project import Project
from upgrader.lint.capture import StatementCapture
from upgrader.lint.partitions import find_partitioned
from upgrader.lint.sizes import describe_tables
from upgrader.lint.squawk import lint_steps
from upgrader.model import Finding
from upgrader.runner.options import UpgradeOptions


def lint(project: Project) -> list[Finding]:
    """Run everything, and lint what it executed, with the sizes of what is there then."""
    capture = StatementCapture()
    project.api(emit=capture).upgrade(UpgradeOptions(verbose=True, include_slow=True))
    with project.connect() as connection:
        return lint_steps(
            capture.steps(),
            server_version=connection.info.server_version,
            sizes=describe_tables(connection, capture.steps()),
            partitioned=find_partitioned(connection, capture.steps()),
        )


def told(findings: list[Finding], step: str) -> list[tuple[str, str, int | None]]:
    return [(one.rule, Path(one.file or "").name, one.line) for one in findings if step in (one.step or "")]


def prepare(project: Project) -> None:
    """Make tables that every further command meets as existing ones."""
    project.create_workspaces("a", "b")
    project.fast(
        "1.0.0",
        1,
        "Prepare",
        """
        for name in ("invoice", "line"):
            connection.exec_driver_sql(f"create table core.{name} (id bigint primary key, a int8, b int8)")
        connection.exec_driver_sql("insert into core.invoice select generate_series(1, 20000)")
        connection.exec_driver_sql("analyze core.invoice")
        connection.exec_driver_sql("create index invoice_b on core.invoice (b)")
        """,
    )
    project.workspace("1.0.0", 2, "PrepareThing", "create table thing (id bigint, a text)")


def test_dangerous_commands(project: Project):
    """Each is found at the line that issued it, with the table and its size."""
    prepare(project)
    dangerous = {
        "AddIndex": ("create index invoice_a on core.invoice (a)", ["require-concurrent-index-creation"]),
        "AddColumn": (
            "alter table core.invoice add c uuid default gen_random_uuid()",
            ["adding-field-with-default"],
        ),
        "SetNotNull": ("alter table core.line alter a set not null", ["adding-not-nullable-field"]),
        "AddForeignKey": (
            "alter table core.line add foreign key (b) references core.invoice",
            ["constraint-missing-not-valid", "adding-foreign-key-constraint"],
        ),
        "ChangeType": ("alter table core.invoice alter a type text", ["changing-column-type"]),
        "Rename": ("alter table core.invoice rename a to amount", ["renaming-column"]),
        "DropIndex": ("drop index core.invoice_b", ["require-concurrent-index-deletion"]),
        "DropColumn": ("alter table core.invoice drop column b cascade", ["ban-drop-column"]),
    }
    files = {
        name: project.fast("1.1.0", number, name, sql)
        for number, (name, (sql, _)) in enumerate(dangerous.items(), start=10)
    }
    findings = lint(project)
    for name, (_, rules) in dangerous.items():
        line = line_of(files[name], "connection.execute(text(")
        assert told(findings, name) == [(rule, files[name].name, line) for rule in rules]
    messages = {one.rule: one.message for one in findings}
    assert "core.invoice has about 20,000 rows, " in messages["changing-column-type"]
    assert "core.invoice has about 20,000 rows, " in messages["adding-foreign-key-constraint"]


def test_through_helpers(project: Project):
    """An authors' own helper is named at its own line; what the product's helper does is no finding."""
    prepare(project)
    shared = project.write(
        "commands/v1_1_0/_shared.py",
        """
        from sqlalchemy import text

        def drop(connection, column):
            connection.execute(
                text(f"alter table core.invoice drop column {column}")
            )
        """,
    )
    project.write(
        "commands/v1_1_0/11_drop_both.py",
        """
        from upgrader import instance_command
        from ._shared import drop

        @instance_command("1.1.0", 11)
        class DropBoth:
            def up(self, connection):
                for column in ("a", "b"):
                    drop(connection, column)
        """,
    )
    project.fast(
        "1.1.0",
        12,
        "Index",
        "create_index_concurrently(connection, 'line_a', table='core.line', columns='a')",
        transactional=False,
    )
    findings = lint(project)
    line = line_of(shared, "connection.execute(")
    assert told(findings, "DropBoth") == [("ban-drop-column", "_shared.py", line)] * 2
    assert ["drop column a" in one.message for one in findings if "DropBoth" in (one.step or "")] == [
        True,
        False,
    ]
    assert told(findings, "Index") == []


def test_ignored_in_the_sql(project: Project):
    """A comment in the statement travels with it."""
    prepare(project)
    project.fast(
        "1.1.0", 11, "Meant", "-- squawk-ignore ban-drop-column\nalter table core.invoice drop column a"
    )
    project.fast("1.1.0", 12, "Useless", "-- squawk-ignore ban-drop-column\nalter table core.line add c text")
    findings = lint(project)
    assert told(findings, "Meant") == []
    assert [rule for rule, *_ in told(findings, "Useless")] == ["unused-ignore"]


def test_refused_and_unreadable_statements(project: Project):
    """What the server refused is looked at, too, and what squawk cannot read hides nothing."""
    prepare(project)
    project.fast(
        "1.1.0",
        11,
        "Try",
        """
        from sqlalchemy.exc import DBAPIError
        for statement in ("frobnicate (", "alter table core.line drop column nothing", "alter table core.line drop b"):
            try:
                with connection.begin_nested():
                    connection.execute(text(statement))
            except DBAPIError:
                pass
        """,
    )
    project.fast("1.1.0", 12, "Concurrently", "create index concurrently i on core.line (a)")
    findings = lint(project)
    rules = [rule for rule, *_ in told(findings, "Try")]
    assert rules == ["syntax-error", "ban-drop-column", "ban-drop-column"]
    assert [rule for rule, *_ in told(findings, "Concurrently")] == ["concurrently-in-transaction"]


def test_workspaces(project: Project):
    """A finding is told once, however many workspaces there are."""
    prepare(project)
    project.workspace("1.1.0", 11, "DropName", "alter table thing drop column a")
    (finding,) = [one for one in lint(project) if "DropName" in (one.step or "")]
    assert finding.rule == "ban-drop-column"
    assert "the largest of 2 tables thing has " in finding.message


def test_transactions_of_a_data_migration(project: Project):
    """Each transaction of a slow step is looked at by itself; a table that an earlier one made is new all the same."""
    prepare(project)
    project.write(
        "commands/v1_1_0/11_check_a.py",
        """
        from sqlalchemy import text
        from upgrader import instance_command

        @instance_command("1.1.0", 11, type="slow")
        class CheckA:
            def run_data_migration(self, ctx):
                with ctx.transaction() as connection:
                    connection.execute(text("create table core.seen (id bigint)"))
                    connection.execute(text("alter table core.line add constraint c check (a > 0) not valid"))
                for after in range(3):
                    with ctx.transaction() as connection:
                        connection.execute(text("update core.line set a = 1 where id = :after"), {"after": after})

            def up(self, connection):
                connection.execute(text("alter table core.line validate constraint c"))
                connection.execute(text("create index seen_id on core.seen (id)"))
        """,
    )
    project.fast(
        "1.1.0",
        12,
        "Together",
        """
        connection.execute(text("alter table core.line add constraint d check (b > 0) not valid"))
        connection.execute(text("alter table core.line validate constraint d"))
        """,
    )
    findings = lint(project)
    assert told(findings, "CheckA") == []
    assert [rule for rule, *_ in told(findings, "Together")] == ["constraint-missing-not-valid"]


def test_index_on_a_partitioned_table(project: Project):
    """The remedy is the one that works there: the usual one fails; its own first statement is no finding."""
    project.create_workspaces("a")
    parent = "(id bigint, at date) partition by range (at)"
    partition = "for values from ('2026-01-01') to ('2027-01-01')"
    project.fast(
        "1.0.0", 1, "Prepare", f"create table core.event {parent}; create table core.plain (id bigint)"
    )
    project.fast("1.0.0", 2, "Part", f"create table core.event_26 partition of core.event {partition}")
    project.workspace("1.0.0", 3, "Own", f"create table note {parent}")
    project.fast("1.0.0", 4, "Plain", "create index plain_id on core.plain (id)")
    project.fast("1.0.0", 5, "Whole", "create index event_id on core.event (id)")
    project.fast("1.0.0", 6, "Only", "create index event_at on only core.event (at)")
    project.fast(
        "1.0.0",
        7,
        "OnPartition",
        'create_index_concurrently(connection, "event_26_at", table="core.event_26", columns="at")',
        transactional=False,
    )
    project.fast("1.0.0", 8, "Attach", "alter index core.event_at attach partition core.event_26_at")
    project.workspace("1.0.0", 9, "OwnWhole", "create index note_id on note (id)")

    found = [one for one in lint(project) if one.rule == "require-concurrent-index-creation"]

    remedies = {(one.step or "").split("_")[1]: one.remedy for one in found}
    assert set(remedies) == {"Plain", "Whole", "OwnWhole"}
    assert "ON ONLY" not in remedies["Plain"]
    assert "ON ONLY" in remedies["Whole"]
    assert "ATTACH PARTITION" in remedies["OwnWhole"]
    valid = "select indisvalid from pg_index where indexrelid = 'core.event_at'::regclass"
    assert project.query(valid) == [(True,)]
