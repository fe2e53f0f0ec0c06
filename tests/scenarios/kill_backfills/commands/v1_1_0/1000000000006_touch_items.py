"""Two backfills of one table, in each workspace."""

from sqlalchemy import text

from upgrader import DataMigrationContext, WorkspaceContext, workspace_command

from .._effect import record_effect


@workspace_command("1.1.0", 1000000000006)
class TouchItems:
    """Raise item.touched and item.again, then forbid other values."""

    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        ctx.backfill("item", set_={"touched": "touched + 1"}, label="touched", batch_size=60)
        ctx.backfill("item", set_={"again": "again + 1"}, label="again", batch_size=60)

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(text("alter table item add constraint once check (touched = 1 and again = 1)"))
        record_effect(ctx.connection, "TouchItems", ctx.workspace.id)
