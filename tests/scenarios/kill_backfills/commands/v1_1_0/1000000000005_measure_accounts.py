"""At a pace found by measurement."""

from sqlalchemy import Connection, text

from upgrader import DataMigrationContext, instance_command

from .._effect import record_effect


@instance_command("1.1.0", 1000000000005, "slow")
class MeasureAccounts:
    """Raise account.measured, then forbid another value."""

    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        ctx.backfill("core.account", set_={"measured": "measured + 1"})

    def up(self, connection: Connection) -> None:
        connection.execute(text("alter table core.account add constraint once_more check (measured = 1)"))
        record_effect(connection, "MeasureAccounts")
