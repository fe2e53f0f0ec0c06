"""Without a key, by one statement."""

from sqlalchemy import Connection, text

from upgrader import DataMigrationContext, instance_command

from .._effect import record_effect


@instance_command("1.1.0", 1000000000002, "slow")
class TouchEntries:
    """Raise entry.touched, then forbid another value."""

    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        ctx.backfill(
            "core.entry", update="UPDATE core.entry SET touched = touched + 1 WHERE {batch}", batch_size=150
        )

    def up(self, connection: Connection) -> None:
        connection.execute(text("alter table core.entry add constraint once check (touched = 1)"))
        record_effect(connection, "TouchEntries")
