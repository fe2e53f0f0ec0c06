"""A change in each workspace that must not be made twice, with a COMMIT that has work to do."""

from sqlalchemy import text

from upgrader import WorkspaceContext, workspace_command

from .._effect import record_effect, record_reversal, settle_at_commit


@workspace_command("1.2.0", 1000000000003)
class RaisePrices:
    """Double every price and add one."""

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(text("update item set price = price * 2 + 1"))
        settle_at_commit(ctx.connection, "RaisePrices", ctx.workspace.id)
        record_effect(ctx.connection, "RaisePrices", ctx.workspace.id)

    def down_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(text("update item set price = (price - 1) / 2"))
        settle_at_commit(ctx.connection, "RaisePrices", ctx.workspace.id)
        record_reversal(ctx.connection, "RaisePrices", ctx.workspace.id)
