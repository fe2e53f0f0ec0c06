"""DDL in each workspace."""

from sqlalchemy import text

from upgrader import WorkspaceContext, workspace_command

from .._effect import record_effect, record_reversal


@workspace_command("1.1.0", 1000000000004)
class AddLabel:
    """Add item.label."""

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(text("alter table item add column label text"))
        record_effect(ctx.connection, "AddLabel", ctx.workspace.id)

    def down_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(text("alter table item drop column label"))
        record_reversal(ctx.connection, "AddLabel", ctx.workspace.id)
