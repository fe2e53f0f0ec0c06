"""Fill invoice.workspace_id."""

from sqlalchemy import Connection, text

from upgrader import DataMigrationContext, instance_command

from .._tables import INVOICE


@instance_command("1.22.0", 1775758621018, "slow")
class BackfillInvoiceWorkspaceId:
    """Fill invoice.workspace_id."""

    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        with ctx.transaction() as connection:
            connection.execute(text(f"UPDATE {INVOICE} SET workspace_id = gen_random_uuid()"))

    def up(self, connection: Connection) -> None:
        connection.execute(text(f"ALTER TABLE {INVOICE} ALTER COLUMN workspace_id SET NOT NULL"))
