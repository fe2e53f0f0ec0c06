"""`--order largest-first`: sizes from the planner's statistics, and what a run makes of them."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.project import Project
from tests.support.results import attempts
from upgrader.database.sizes import schema_sizes
from upgrader.events import Event, WorkspaceFinished
from upgrader.model import Jobs, Order, Outcome
from upgrader.runner.options import DowngradeOptions, UpgradeOptions


def fill(project: Project, id_: str, rows: int) -> None:
    """Make a table of about so many rows' size in a workspace, and let the planner know."""
    with project.connect() as connection:
        connection.execute(
            f"create table ws_{id_}.t as select n, repeat('x', 100) from generate_series(1, {rows}) n".encode()
        )
        connection.execute(f"analyze ws_{id_}.t".encode())


def order_of(project: Project, step: str) -> list[str]:
    return [id_ for name, id_, _, _ in attempts(project) if name == step]


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_largest_begin(project: Project, jobs: int) -> None:
    """By id they come otherwise; what was never analysed comes last."""
    project.create_workspaces("a", "b", "c", "d")
    for id_, rows in (("a", 10), ("c", 5_000), ("d", 500)):
        fill(project, id_, rows)
    project.workspace("1.0.0", 1, "First")
    seen: list[Event] = []
    options = UpgradeOptions(order=Order.LARGEST_FIRST, jobs=Jobs(jobs))
    report = project.api(emit=seen.append).upgrade(options)
    assert report.outcome is Outcome.DONE
    assert report.warnings == []
    places = {event.index: event.workspace.id for event in seen if isinstance(event, WorkspaceFinished)}
    assert [places[index] for index in sorted(places)] == ["c", "d", "a", "b"]
    if jobs == 1:
        assert order_of(project, "First") == ["c", "d", "a", "b"]


def test_by_default_they_go_by_id_and_the_setting_changes_that(project: Project) -> None:
    """On the way down too."""
    project.create_workspaces("a", "b")
    fill(project, "b", 1_000)
    project.workspace("1.0.0", 1, "First")
    assert project.api().upgrade(UpgradeOptions()).outcome is Outcome.DONE
    assert order_of(project, "First") == ["a", "b"]
    project.workspace("1.1.0", 2, "Second", down="pass")
    project.configure(order="largest-first")
    assert project.api().upgrade(UpgradeOptions()).outcome is Outcome.DONE
    assert order_of(project, "Second") == ["b", "a"]
    report = project.api().downgrade(DowngradeOptions(steps=1, confirmed=None))
    assert report.outcome is Outcome.DONE
    assert order_of(project, "Second") == ["b", "a", "b", "a"]


def test_a_limit_counts_by_id_whatever_the_order(project: Project) -> None:
    """The selection is made first: the first two by id, of those the largest first."""
    project.create_workspaces("a", "b", "c")
    fill(project, "b", 100)
    fill(project, "c", 1_000)
    project.workspace("1.0.0", 1, "First")
    done = project.run_cli("upgrade", "--order", "largest-first", "--count-limit", "2")
    assert done.returncode == 0, done.stderr
    assert order_of(project, "First") == ["b", "a"]


def test_where_nothing_is_known_it_is_said_once(project: Project) -> None:
    """Two segments, one warning; and they go by id."""
    project.create_workspaces("a", "b")
    project.workspace("1.0.0", 1, "First")
    project.workspace("1.1.0", 2, "Second")
    done = project.run_cli("upgrade", "--order", "largest-first")
    assert done.returncode == 0
    assert done.stderr.count("order largest-first: the size of no workspace is known") == 1
    assert order_of(project, "Second") == ["a", "b"]


def test_an_order_that_is_not_there_is_refused(project: Project) -> None:
    """With those that there are."""
    done = project.run_cli("upgrade", "--order", "smallest-first")
    assert done.returncode == 2
    assert "there is no order 'smallest-first'" in done.stderr
    assert "id, largest-first" in done.stderr


def test_sizes_are_tables_with_toast_partitions_and_indexes(connection: psycopg.Connection) -> None:
    """What the planner knows of each, in one query; a schema that nobody analysed is unknown."""
    for schema in ("plain", "toasted", "parted", "indexed", "fresh", "bare"):
        connection.execute(f"create schema {schema}".encode())
    connection.execute("create table plain.t as select n from generate_series(1, 20000) n")
    connection.execute("create table toasted.t (n int, body text)")
    connection.execute("alter table toasted.t alter body set storage external")
    connection.execute("insert into toasted.t select n, repeat('x', 20000) from generate_series(1, 200) n")
    connection.execute("create table parted.t (n int) partition by range (n)")
    connection.execute("create table parted.p1 partition of parted.t for values from (0) to (10001)")
    connection.execute("create table parted.p2 partition of parted.t for values from (10001) to (30000)")
    connection.execute("insert into parted.t select n from generate_series(1, 20000) n")
    connection.execute("create table indexed.t as select n from generate_series(1, 20000) n")
    connection.execute("create index on indexed.t (n)")
    connection.execute(
        "create table fresh.t with (autovacuum_enabled = off) as select n from generate_series(1, 20000) n"
    )
    for schema in ("plain", "toasted", "parted", "indexed"):
        connection.execute(f"vacuum analyze {schema}.t".encode())
    for part in ("p1", "p2"):
        connection.execute(f"vacuum analyze parted.{part}".encode())

    sizes = schema_sizes(connection, ["plain", "toasted", "parted", "indexed", "fresh", "bare", "nowhere"])

    assert set(sizes) == {"plain", "toasted", "parted", "indexed"}
    assert sizes["plain"] > 50
    assert sizes["parted"] >= sizes["plain"]
    assert sizes["indexed"] > 1.4 * sizes["plain"]
    assert sizes["toasted"] > 400


def test_a_table_that_somebody_has_locked_holds_nobody_up(project: Project) -> None:
    """Statistics are read without a lock on any workspace's table."""
    project.create_workspaces("a", "b")
    fill(project, "b", 1_000)
    with project.connect() as mine, project.connect(autocommit=False) as other:
        other.execute("lock table ws_b.t in access exclusive mode")
        mine.execute("set statement_timeout = '10s'")
        assert schema_sizes(mine, ["ws_a", "ws_b"]).keys() == {"ws_b"}
