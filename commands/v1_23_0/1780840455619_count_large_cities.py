"""A step that builds on the one before it."""

from sqlalchemy import text

from upgrader import WorkspaceContext, workspace_command

from .._shared import expect_one_row

_RECORD = text("""
    UPDATE core.workspace_statistics
    SET large_cities = (SELECT count(*) FROM city WHERE population_class IN ('large', 'mega'))
    WHERE workspace_id = CAST(:workspace_id AS uuid)
""")
_CLEAR = text("""
    UPDATE core.workspace_statistics SET large_cities = 0
    WHERE workspace_id = CAST(:workspace_id AS uuid)
""")


@workspace_command("1.23.0", 1780840455619, name="count-large-cities")
class CountLargeCities:
    """Count the workspace's cities of a million and more into core.workspace_statistics.

    Each workspace goes through the steps of its version in the order of their timestamps, so the column of
    `classify-cities` is there. They are two commands because they are two transactions: should the counting
    fail, the column stays, and the next run begins with the counting.
    """

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        expect_one_row(ctx.connection.execute(_RECORD, {"workspace_id": ctx.workspace.id}))

    def down_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(_CLEAR, {"workspace_id": ctx.workspace.id})
