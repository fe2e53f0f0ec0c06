"""What commands execute is told with the line of their code, and collected."""

from __future__ import annotations

from pathlib import Path

from tests.support.project import Project
from upgrader.events import StatementExecuted
from upgrader.lint import capture as capture_module
from upgrader.lint.capture import StatementCapture
from upgrader.model import Direction, StepStatements
from upgrader.runner.options import UpgradeOptions


def captured(project: Project, **options: bool) -> list[StepStatements]:
    capture = StatementCapture()
    report = project.api(emit=capture).upgrade(UpgradeOptions(verbose=True, include_slow=True, **options))
    assert not report.failures or "fails" in report.failures[0].step.name.lower(), report.failures
    return list(capture.steps())


def line_of(file: Path, words: str) -> int:
    """Give the number of the line that holds `words`."""
    lines = file.read_text(encoding="utf-8").splitlines()
    (number,) = [number for number, line in enumerate(lines, start=1) if words in line]
    return number


def places(step: StepStatements) -> list[tuple[str, str, int | None]]:
    return [(one.text, Path(one.file or "").name, one.line) for one in step.statements]


class TestLines:
    def test_statement_is_told_with_the_line_that_issued_it(self, project: Project):
        """Also a statement over several lines of code: it is the line of the call."""
        file = project.fast(
            "1.0.0",
            1,
            "AddThing",
            """
            connection.execute(text("create table thing (id int)"))
            connection.execute(
                text("insert into thing select generate_series(1, :n)"),
                {"n": 3},
            )
            """,
        )
        (step,) = captured(project)
        assert (step.step.class_name, step.direction, step.transactional, step.left_out) == (
            "AddThing",
            Direction.UP,
            True,
            0,
        )
        first, second = step.statements
        assert first.file == second.file == str(file)
        assert first.line == line_of(file, "create table")
        assert second.line == line_of(file, "create table") + 1
        assert first.in_transaction
        assert first.text == "create table thing (id int)"

    def test_shared_helper_is_the_line(self, project: Project):
        """A function of the authors' own is their code: the innermost line counts."""
        shared = project.write(
            "commands/v1_0_0/_shared.py",
            """
            from contextlib import contextmanager

            def add_column(connection, table):
                connection.exec_driver_sql(f"alter table {table} add column extra text")

            @contextmanager
            def paused(connection):
                yield
                connection.exec_driver_sql("analyze thing")
            """,
        )
        file = project.write(
            "commands/v1_0_0/1_add.py",
            """
            from upgrader import instance_command
            from ._shared import add_column, paused

            @instance_command("1.0.0", 1)
            class Add:
                def up(self, connection):
                    connection.exec_driver_sql("create table thing (id int)")
                    with paused(connection):
                        add_column(connection, "thing")
            """,
        )
        (step,) = captured(project)
        assert places(step) == [
            ("create table thing (id int)", file.name, line_of(file, "create table")),
            ("alter table thing add column extra text", shared.name, line_of(shared, "alter table")),
            ("analyze thing", shared.name, line_of(shared, "analyze")),
        ]

    def test_helper_of_the_product_is_the_calling_line(self, project: Project):
        """What the helper only looks up is left out; what it executes belongs to the author's line."""
        project.fast("1.0.0", 1, "AddThing", "create table thing (id int)")
        file = project.fast(
            "1.0.0",
            2,
            "AddIndex",
            "create_index_concurrently(connection, 'thing_id', table='thing', columns='id')",
            transactional=False,
        )
        _, step = captured(project)
        assert places(step) == [
            ('create index concurrently "thing_id" on thing (id)', file.name, line_of(file, "columns="))
        ]
        assert not step.statements[0].in_transaction
        assert not step.statements[0].escapes_percent
        assert not step.transactional

    def test_orm_executemany_and_savepoints(self, project: Project):
        """Statements that SQLAlchemy writes, and those in a savepoint, have the author's line, too."""
        file = project.write(
            "commands/v1_0_0/1_fill.py",
            """
            from sqlalchemy import Column, Integer, String, text
            from sqlalchemy.orm import Session, declarative_base
            from upgrader import instance_command

            Base = declarative_base()

            class Thing(Base):
                __tablename__ = "thing"
                id = Column(Integer, primary_key=True)
                name = Column(String)

            @instance_command("1.0.0", 1)
            class Fill:
                def up(self, connection):
                    Base.metadata.create_all(connection)
                    with Session(connection, join_transaction_mode="create_savepoint") as session:
                        session.add(Thing(id=1, name="one"))
                        session.flush()  # the ORM's insert
                    with connection.begin_nested():
                        connection.execute(text("update thing set name = :name"), {"name": "50%"})
                    connection.execute(text("insert into thing (id) values (:i)"), [{"i": 2}, {"i": 3}])
            """,
        )
        (step,) = captured(project)
        lines = {text.split()[0].lower(): line for text, _, line in places(step) if "pg_catalog" not in text}
        assert lines["create"] == line_of(file, "create_all")
        assert lines["update"] == line_of(file, "update thing")
        assert [line for text, _, line in places(step) if text.lower().startswith("insert")] == [
            line_of(file, "session.flush"),
            line_of(file, "insert into"),
        ]
        assert step.statements[-1].escapes_percent

    def test_data_migration_is_part_of_its_step(self, project: Project):
        """Statements of a data migration come before those of `up`."""
        project.fast("1.0.0", 1, "AddThing", "create table thing (id int)")
        project.slow(
            "1.0.0",
            2,
            "Fill",
            "alter table thing alter id set not null",
            migrate="""
            for number in range(3):
                with ctx.transaction() as connection:
                    connection.execute(text("insert into thing values (:n)"), {"n": number})
            """,
        )
        _, step = captured(project)
        assert [one.text for one in step.statements] == [
            "insert into thing values (%(n)s)",
            "alter table thing alter id set not null",
        ]

    def test_what_fails_is_told(self, project: Project):
        """The statement that the server refuses is the last one of its step."""
        project.fast("1.0.0", 1, "AddThing", "create table thing (id int)")
        project.fast("1.0.0", 2, "Fails", "create index concurrently i on thing (id)")
        _, step = captured(project)
        (statement,) = step.statements
        assert statement.text == "create index concurrently i on thing (id)"
        assert statement.in_transaction

    def test_plain_run_tells_nothing(self, project: Project):
        """Without being verbose a run walks no stack and emits no statement."""
        project.fast("1.0.0", 1, "AddThing", "create table thing (id int)")
        seen: list[object] = []
        project.api(emit=seen.append).upgrade(UpgradeOptions())
        assert seen
        assert not [event for event in seen if isinstance(event, StatementExecuted)]

    def test_commands_that_are_installed_as_a_package(self, project: Project):
        """Where the authors' own code looks like a library, it is the command's method that is named."""
        file = project.write(
            "site-packages/1_add.py",
            """
            from sqlalchemy import text
            from upgrader import instance_command

            @instance_command("1.0.0", 1)
            class Add:
                def up(self, connection):
                    connection.execute(text("create table thing (id int)"))
            """,
        )
        project.configure(commands=["site-packages"])
        capture = StatementCapture()
        project.api(emit=capture, commands=["site-packages"]).upgrade(UpgradeOptions(verbose=True))
        (step,) = capture.steps()
        assert places(step) == [("create table thing (id int)", file.name, line_of(file, "create table"))]


class TestBounds:
    def test_of_workspaces_the_first_is_kept(self, project: Project):
        """And of the others what comes from lines that the first did not reach."""
        project.create_workspaces("a", "b", "c")
        project.workspace(
            "1.0.0",
            1,
            "AddThing",
            """
            schema = ctx.workspace.schema
            ctx.connection.execute(text(f"create table {schema}.thing (id int)"))
            if schema == "ws_b":
                ctx.connection.execute(text("comment on table thing is 'of b'"))
            """,
        )
        (step,) = captured(project)
        assert [one.text for one in step.statements] == [
            "create table ws_a.thing (id int)",
            "comment on table thing is 'of b'",
        ]

    def test_a_long_backfill_stays_small(self, project: Project):
        """Of one line so many different texts are kept, and how many are not is counted."""
        project.fast("1.0.0", 1, "AddThing", "create table thing (id int)")
        project.fast(
            "1.0.0",
            2,
            "Fill",
            """
            for number in range(120):
                connection.exec_driver_sql(f"insert into thing values ({number})")
                connection.exec_driver_sql("select 1")
            """,
        )
        _, step = captured(project)
        assert len(step.statements) == capture_module.MOST_OF_A_LINE + 1
        assert step.left_out == 120 - capture_module.MOST_OF_A_LINE

    def test_dry_run_is_captured_too(self, project: Project):
        """What is tried in a transaction that is rolled back is told like what is kept."""
        project.fast("1.0.0", 1, "AddThing", "create table thing (id int)")
        (step,) = captured(project, dry_run=True)
        assert [one.text for one in step.statements] == ["create table thing (id int)"]
        assert project.query("select to_regclass('thing')") == [(None,)]
