"""A data migration in each workspace."""

from sqlalchemy import text

from upgrader import DataMigrationContext, WorkspaceContext, workspace_command

from .._effect import record_effect, record_reversal


@workspace_command("1.1.0", 1000000000005)
class FillLabel:
    """Fill item.label in two batches, then forbid null."""

    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        for remainder in (0, 1):
            with ctx.transaction() as connection:
                connection.execute(
                    text("update item set label = title || '!' where label is null and id % 2 = :remainder"),
                    {"remainder": remainder},
                )

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(text("alter table item alter column label set not null"))
        record_effect(ctx.connection, "FillLabel", ctx.workspace.id)

    def down_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(text("alter table item alter column label drop not null"))
        record_reversal(ctx.connection, "FillLabel", ctx.workspace.id)
