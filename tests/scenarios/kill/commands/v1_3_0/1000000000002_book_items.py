"""A workspace step that needs the slow step before it."""

from sqlalchemy import text

from upgrader import WorkspaceContext, workspace_command

from .._effect import record_effect, record_reversal


@workspace_command("1.3.0", 1000000000002, after_slow=True)
class BookItems:
    """Write the count of the items to core.ledger, and take it back from the table."""

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(
            text(
                "insert into core.ledger"
                " select workspace_id, 'items', items from core.item_count where workspace_id = :id"
            ),
            {"id": ctx.workspace.id},
        )
        ctx.connection.execute(
            text("update core.item_count set items = items + 1 where workspace_id = :id"),
            {"id": ctx.workspace.id},
        )
        record_effect(ctx.connection, "BookItems", ctx.workspace.id)

    def down_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(
            text("delete from core.ledger where workspace_id = :id and what = 'items'"),
            {"id": ctx.workspace.id},
        )
        ctx.connection.execute(
            text("update core.item_count set items = items - 1 where workspace_id = :id"),
            {"id": ctx.workspace.id},
        )
        record_reversal(ctx.connection, "BookItems", ctx.workspace.id)
