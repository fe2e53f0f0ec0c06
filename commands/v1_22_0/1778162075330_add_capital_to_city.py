"""A new column in every workspace."""

from sqlalchemy import text

from upgrader import WorkspaceContext, workspace_command


@workspace_command("1.22.0", 1778162075330, name="add-capital-to-city")
class AddCapitalToCity:
    """Add city.is_capital, with an index that allows one capital at most.

    A constant default is kept in the catalogue, so no row is written. The index is built inside the
    transaction: a workspace's table is small, and its users wait for a few milliseconds. One workspace after
    the other is locked, never all at once.
    """

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(text("ALTER TABLE city ADD COLUMN is_capital boolean NOT NULL DEFAULT false"))
        ctx.connection.execute(
            text("""
                -- squawk-ignore require-concurrent-index-creation
                CREATE UNIQUE INDEX city_one_capital ON city (is_capital) WHERE is_capital
            """)
        )

    def down_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(text("ALTER TABLE city DROP COLUMN is_capital"))
