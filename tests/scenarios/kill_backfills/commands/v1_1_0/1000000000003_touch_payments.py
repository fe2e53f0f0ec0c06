"""Along a key of two columns, by a loop of its own."""

from sqlalchemy import Connection, text

from upgrader import DataMigrationContext, instance_command

from .._effect import record_effect, take_time


@instance_command("1.1.0", 1000000000003, "slow")
class TouchPayments:
    """Raise payment.touched in two statements per batch, then forbid another value."""

    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        for batch in ctx.batches("core.payment", batch_size=150):
            for parity in (0, 1):
                batch.connection.execute(
                    text(
                        "update core.payment set touched = touched + 1"
                        f" where {batch.where} and account_id % 2 = :parity"
                    ),
                    {"parity": parity},
                )
            take_time(batch.connection)

    def up(self, connection: Connection) -> None:
        connection.execute(text("alter table core.payment add constraint once check (touched = 1)"))
        record_effect(connection, "TouchPayments")
