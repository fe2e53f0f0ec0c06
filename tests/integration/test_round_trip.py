"""Up, down, up: what a wrong `down` leaves behind or takes along is found; nothing of it reaches the next step."""

from __future__ import annotations

import pytest

from tests.integration.test_drift import PREPARE
from tests.support.checking import checking
from tests.support.project import Project
from upgrader.check.round_trip import RoundTripResult, find_broken_round_trips
from upgrader.events import Event, StatementExecuted
from upgrader.model import Direction

SETUP = """
create schema core; create table core.item (id serial primary key, price int default 5, label text not null,
    constraint item_priced check (price > 0));
create index ix_price on core.item (price); comment on column core.item.label is 'what it is'
"""
BROKEN = {
    "leaves-a-table": (
        "create table core.t (id int)",
        "select 1",
        "`down` does not take back what `up` does: the table core.t is left behind",
    ),
    "leaves-an-index": (
        "create index ix_label on core.item (label)",
        "select 1",
        "the index core.item.ix_label is left behind",
    ),
    "leaves-an-enum": (
        "create type core.state as enum ('a'); alter table core.item add state core.state",
        "alter table core.item drop column state",
        "the enum core.state is left behind",
    ),
    "leaves-an-enum-value": (
        "create type core.state as enum ('a'); alter type core.state add value 'b'",
        "drop type core.state; create type core.state as enum ('a')",
        "the enum core.state is left behind",
    ),
    "leaves-a-sequence": (
        "create sequence core.number; alter table core.item add number int default nextval('core.number')",
        "alter table core.item drop column number",
        "the sequence core.number is left behind",
    ),
    "leaves-a-comment": (
        "comment on table core.item is 'goods'",
        "select 1",
        "table core.item: comment none before `up`, goods after `down`",
    ),
    "leaves-a-default": (
        "alter table core.item alter label set default ''",
        "alter table core.item alter label set default 'x'",
        "core.item.label: default none before `up`, 'x'::text after `down`",
    ),
    "forgets-a-default": (
        "alter table core.item drop column price",
        """alter table core.item add price int constraint item_priced check (price > 0);
        create index ix_price on core.item (price)""",
        "core.item.price: default 5 before `up`, none after `down`",
    ),
    "forgets-not-null": (
        "alter table core.item drop column label",
        "alter table core.item add label text; comment on column core.item.label is 'what it is'",
        "core.item.label: not null before `up`, nullable after `down`",
    ),
    "forgets-a-comment": (
        "alter table core.item drop column label",
        "alter table core.item add label text not null",
        "core.item.label: comment what it is before `up`, none after `down`",
    ),
    "forgets-an-index": (
        "alter table core.item drop column price",
        "alter table core.item add price int default 5 constraint item_priced check (price > 0)",
        "the index core.item.ix_price is gone",
    ),
    "leaves-a-function": (
        "create function core.one() returns int language sql as 'select 1'",
        "select 1",
        "the function core.one() is left behind",
    ),
    "leaves-a-schema": ("create schema other", "select 1", "the schema other is left behind"),
    "takes-too-much": (
        "alter table core.item add extra text",
        "alter table core.item drop column extra, drop column label",
        "the column core.item.label is gone",
    ),
}


@pytest.fixture
def base_project(project: Project) -> Project:
    """A project whose base has one table."""
    (project.directory / "base.sql").write_text(SETUP)
    project.configure(check={"base_schema": str(project.directory / "base.sql")})
    return project


def _trips(project: Project) -> RoundTripResult:
    with checking(project) as check:
        return check.round_trips()


def _statements(sql: str) -> str:
    return f"for one in {sql.split(';')!r}:\n    connection.execute(text(one))"


@pytest.mark.parametrize(("up", "down", "words"), BROKEN.values(), ids=BROKEN)
def test_a_wrong_down_is_found(base_project: Project, up: str, down: str, words: str) -> None:
    """One finding, at the line of `down`, that names what differs."""
    file = base_project.fast("1.0.0", 1, "Change", _statements(up), down=_statements(down))
    result = _trips(base_project)
    assert result.tried == 1
    (finding,) = result.findings
    assert words in finding.message
    assert (finding.rule, finding.file, finding.step) == ("round-trip", file, "1.0.0_Change_1")
    assert finding.line is not None
    assert "def down" in file.read_text().splitlines()[finding.line - 1]


def test_a_right_down_is_no_finding(base_project: Project) -> None:
    """Columns may change their places, and constraints the names that the server gave them."""
    base_project.fast(
        "1.0.0",
        1,
        "DropPrice",
        "alter table core.item drop column price",
        down=_statements(
            """alter table core.item add price int default 5 constraint item_priced check (price > 0);
            create index ix_price on core.item (price)"""
        ),
    )
    base_project.fast(
        "1.0.0",
        2,
        "AddState",
        _statements(
            "create type core.state as enum ('a', 'b'); alter table core.item add state core.state default 'a'"
        ),
        down=_statements("alter table core.item drop column state; drop type core.state"),
    )
    base_project.slow(
        "1.0.0",
        3,
        "Fill",
        "alter table core.item alter state set not null",
        migrate="with ctx.transaction() as connection:\n"
        "    connection.execute(text(\"update core.item set state = 'a' where state is null\"))",
        down="alter table core.item alter state drop not null",
    )
    result = _trips(base_project)
    assert result == RoundTripResult((), 3, ())


def test_a_failing_down_is_found_at_its_line(base_project: Project) -> None:
    """An error in `down` is told where the author's line raised it."""
    file = base_project.fast(
        "1.0.0", 1, "Add", "alter table core.item add x int", down="alter table core.item drop column y"
    )
    (finding,) = _trips(base_project).findings
    assert finding.message.startswith("`down` fails: UndefinedColumn")
    assert finding.file == file
    assert finding.line is not None
    assert "drop column y" in file.read_text().splitlines()[finding.line - 1]


def test_an_up_that_cannot_be_done_again_is_found(base_project: Project) -> None:
    """A `down` that takes a table away that `up` needs, outside of what is compared, is found by `up` itself."""
    base_project.fast(
        "1.0.0",
        1,
        "Add",
        _statements(
            "insert into core.item (label) values ('once'); create unique index one on core.item (label)"
        ),
        down="drop index core.one",
    )
    (finding,) = _trips(base_project).findings
    assert finding.message.startswith("`up` fails when it is done again after `down`: UniqueViolation")


def test_an_up_that_makes_something_else_is_found(base_project: Project) -> None:
    """A `down` that leaves rows behind may make the next `up` another one."""
    base_project.fast(
        "1.0.0",
        1,
        "Add",
        """
        connection.execute(text("insert into core.item (label) values ('x')"))
        connection.execute(text("create table core.t (id int)"))
        if connection.scalar(text("select count(*) from core.item")) > 1:
            connection.execute(text("alter table core.t add more int"))
        """,
        down="drop table core.t",
    )
    (finding,) = _trips(base_project).findings
    assert finding.message == "`up` after `down` makes something else: the column core.t.more is new"


def test_what_a_wrong_down_does_does_not_reach_the_next_step(base_project: Project) -> None:
    """Each trip is rolled back: one wrong command, one finding."""
    base_project.fast("1.0.0", 1, "Add", "create table core.t (id int)", down="drop table core.item cascade")
    base_project.fast(
        "1.0.0", 2, "Widen", "alter table core.item add wide int", down="alter table core.item drop wide"
    )
    result = _trips(base_project)
    assert [finding.step for finding in result.findings] == ["1.0.0_Add_1"]
    assert result.tried == 2


def test_commands_in_autocommit_are_tried_too(base_project: Project) -> None:
    """CREATE INDEX CONCURRENTLY is really taken back and built again; a wrong way back is found."""
    base_project.fast(
        "1.0.0",
        1,
        "IndexLabel",
        "create_index_concurrently(connection, 'ix_label', table='core.item', columns=['label'])",
        down="drop_index_concurrently(connection, 'core.ix_label')",
        transactional=False,
    )
    base_project.fast(
        "1.0.0",
        2,
        "IndexBoth",
        "create index concurrently if not exists ix_both on core.item (label, id)",
        down="pass",
        transactional=False,
    )
    result = _trips(base_project)
    assert result.tried == 2
    assert [(one.step, one.message) for one in result.findings] == [
        (
            "1.0.0_IndexBoth_2",
            "`down` does not take back what `up` does: the index core.item.ix_both is left behind",
        )
    ]


def test_irreversible_commands_are_left_alone(base_project: Project) -> None:
    """No `down`, or one that says that there is no way back: nothing to find."""
    base_project.fast("1.0.0", 1, "Drop", "alter table core.item drop column price")
    base_project.fast(
        "1.0.0",
        2,
        "DropLabel",
        "alter table core.item drop column label",
        down="from upgrader import IrreversibleError\nraise IrreversibleError('the labels are gone')",
    )
    result = _trips(base_project)
    assert result.findings == ()


def test_workspace_commands_are_tried_on_one_workspace(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The schema of one workspace is compared, with the workspace's search_path."""
    project.write("trip_base.py", PREPARE)
    monkeypatch.syspath_prepend(str(project.directory))
    project.configure(check={"prepare": "trip_base:workspaces"})
    project.workspace("1.0.0", 1, "Good", "create table note (id int)", down="drop table note")
    project.workspace(
        "1.0.0",
        2,
        "Bad",
        "create table tag (id int); create index on tag (id)",
        down="alter table tag rename to old",
    )
    result = _trips(project)
    assert [(one.step, one.message.partition("; ")[0]) for one in result.findings] == [
        ("1.0.0_Bad_2", "`down` does not take back what `up` does: the table ws_a.old is left behind")
    ]
    assert result.tried == 2


def test_commands_after_a_failed_one_are_left_out_aloud(base_project: Project) -> None:
    """Where the sequence ends, so do the trips; that is said."""
    base_project.fast("1.0.0", 1, "Good", "create table core.t (id int)", down="drop table core.t")
    base_project.fast("1.0.0", 2, "Fails", "select 1 / 0", down="select 1")
    result = _trips(base_project)
    assert result.findings == ()
    assert result.left_out == (
        "commands from 1.0.0_Fails_2 on were not taken back and done again: the sequence did not run to its end",
    )


def test_statements_of_the_way_down_are_heard(base_project: Project) -> None:
    """Whoever captures is told what `down` executes, once, and which way it goes."""
    file = base_project.fast("1.0.0", 1, "Add", "create table core.t (id int)", down="drop table core.t")
    heard: list[Event] = []
    with checking(base_project) as check:
        find_broken_round_trips(check.base, check.subject, emit=heard.append)
    executed = [one for one in heard if isinstance(one, StatementExecuted)]
    assert [(one.direction, one.statement, one.file) for one in executed] == [
        (Direction.UP, "create table core.t (id int)", str(file)),
        (Direction.DOWN, "drop table core.t", str(file)),
    ]
