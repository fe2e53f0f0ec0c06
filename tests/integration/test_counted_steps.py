"""What a scope's digests say after steps that count themselves, and after all that comes later."""

from __future__ import annotations

from tests.support.project import Project
from upgrader.runner.options import UpgradeOptions

_STATE = (
    "select workspace_id, completed, completed_digest, open, open_digest, life from upgrader.scope"
    " order by workspace_id nulls first"
)
_REBUILD = "select count(upgrader.rebuild_scope(workspace_id)::text) from upgrader.scope"


def assert_rebuilt_is_the_same(project: Project) -> None:
    counted = project.query(_STATE)
    project.query(_REBUILD)
    assert project.query(_STATE) == counted


def test_counted_steps_and_rebuilt_ones_are_the_same(project: Project):
    """A step is counted once, whether by itself or by the trigger: completed, failed, and completed after that."""
    project.create_workspaces("a", "b")
    project.fast("1.0.0", 1, "Instance")
    project.workspace("1.0.0", 2, "Plain", "select 1")
    project.workspace("1.0.0", 3, "Fragile", "select * from core.mended")
    project.api().upgrade(UpgradeOptions())
    assert_rebuilt_is_the_same(project)
    assert [(row[0], row[1], row[3]) for row in project.query(_STATE)] == [
        (None, 1, 0),
        ("a", 1, 1),
        ("b", 1, 1),
    ]
    with project.connect() as connection:
        connection.execute("create table core.mended as select 1 as one")
    project.api().upgrade(UpgradeOptions())
    assert_rebuilt_is_the_same(project)
    assert [(row[0], row[1], row[3]) for row in project.query(_STATE)] == [
        (None, 1, 0),
        ("a", 2, 0),
        ("b", 2, 0),
    ]


def test_row_that_is_written_by_hand_beside_a_step_counts(project: Project):
    """Only the row of the step itself is left to it: whatever else its transaction writes is counted."""
    project.create_workspaces("a")
    project.workspace("1.0.0", 1, "Plain", "select 1")
    project.api().upgrade(UpgradeOptions())
    with project.connect() as connection, connection.transaction():
        connection.execute("set local upgrader.step = 'x'")
        connection.execute(
            "select upgrader.complete_step('x', '1.0.0_Other_2', 'workspace', '1.0.0', 'a', 1, '1.0.0', '',"
            " false, false, true, 'up', 0)"
        )
        connection.execute(
            "insert into upgrader.history (name, kind, version, workspace_id, status, attempt,"
            " executed_by_version, checksum) values ('1.0.0_Third_3', 'workspace', '1.0.0', 'a', 'completed', 1,"
            " '1.0.0', '')"
        )
        connection.execute("delete from upgrader.history where name = '1.0.0_Other_2'")
    assert_rebuilt_is_the_same(project)
    assert [row[1] for row in project.query(_STATE) if row[0] == "a"] == [2]
