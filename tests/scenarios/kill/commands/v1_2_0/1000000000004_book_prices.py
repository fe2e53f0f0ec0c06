"""From a workspace into the instance."""

from sqlalchemy import text

from upgrader import WorkspaceContext, workspace_command

from .._effect import record_effect, record_reversal


@workspace_command("1.2.0", 1000000000004)
class BookPrices:
    """Write the sum of the prices to core.ledger, in a savepoint."""

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        with ctx.connection.begin_nested():
            ctx.connection.execute(
                text("insert into core.ledger select :id, 'prices', sum(price) from item"),
                {"id": ctx.workspace.id},
            )
        record_effect(ctx.connection, "BookPrices", ctx.workspace.id)

    def down_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(
            text("delete from core.ledger where workspace_id = :id and what = 'prices'"),
            {"id": ctx.workspace.id},
        )
        record_reversal(ctx.connection, "BookPrices", ctx.workspace.id)
