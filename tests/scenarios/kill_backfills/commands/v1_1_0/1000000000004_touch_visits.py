"""Without a key, by a loop of its own."""

from sqlalchemy import Connection, text

from upgrader import DataMigrationContext, instance_command

from .._effect import record_effect, take_time


@instance_command("1.1.0", 1000000000004, "slow")
class TouchVisits:
    """Raise visit.touched, then forbid another value."""

    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        for batch in ctx.batches("core.visit", batch_size=150):
            batch.connection.execute(text(f"update core.visit set touched = touched + 1 where {batch.where}"))
            take_time(batch.connection)

    def up(self, connection: Connection) -> None:
        connection.execute(text("alter table core.visit add constraint once check (touched = 1)"))
        record_effect(connection, "TouchVisits")
