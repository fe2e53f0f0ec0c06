"""A data migration in batches, then a constraint."""

from sqlalchemy import Connection, text

from upgrader import DataMigrationContext, instance_command

from .._effect import record_effect, record_reversal, take_time

_BATCH = """
update core.customer set currency = 'C' || (id % 3)
where id in (select id from core.customer where currency is null order by id limit 12)
"""


@instance_command("1.1.0", 1000000000003, "slow")
class BackfillCurrency:
    """Fill customer.currency, then forbid null."""

    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        is_done = False
        while not is_done:
            with ctx.transaction() as connection:
                take_time(connection)
                is_done = connection.execute(text(_BATCH)).rowcount == 0

    def up(self, connection: Connection) -> None:
        connection.execute(text("alter table core.customer alter column currency set not null"))
        record_effect(connection, "BackfillCurrency")

    def down(self, connection: Connection) -> None:
        connection.execute(text("alter table core.customer alter column currency drop not null"))
        record_reversal(connection, "BackfillCurrency")
