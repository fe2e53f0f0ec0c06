"""A column gets a better name, second half: contract."""

from sqlalchemy import Connection, text

from upgrader import DataMigrationContext, instance_command

from .._invoice_amount import create_amount_trigger, drop_amount_trigger

_UNFILLED = text("SELECT EXISTS (SELECT FROM core.invoice WHERE amount_minor IS DISTINCT FROM amount_cents)")


@instance_command("1.23.0", 1780840267512, type="slow")
class DropInvoiceAmountCents:
    """Drop core.invoice.amount_cents: amount_minor has taken its place, and no code of 1.21.0 is left.

    Dropping a column is quick, yet this is a slow command, for it may not overtake the slow one of 1.22.0
    that copies the values. Slow steps keep their order among themselves, also where an operator puts them off
    with --defer-slow; a fast step would not wait for them.

    What cannot be undone is looked at before it is done: the data migration compares the columns, without a
    lock that anybody feels. `down` brings the column back with the values of the new one, which the trigger
    has kept equal.
    """

    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        with ctx.transaction() as connection:
            if connection.scalar(_UNFILLED):
                raise ValueError(
                    "core.invoice has rows where amount_minor is not amount_cents: nothing was dropped"
                )

    def up(self, connection: Connection) -> None:
        drop_amount_trigger(connection)
        connection.execute(
            text("""
                -- squawk-ignore ban-drop-column
                ALTER TABLE core.invoice DROP COLUMN amount_cents
            """)
        )

    def down(self, connection: Connection) -> None:
        connection.execute(text("ALTER TABLE core.invoice ADD COLUMN amount_cents bigint"))
        connection.execute(text("UPDATE core.invoice SET amount_cents = amount_minor"))
        connection.execute(
            text("""
                -- The UPDATE has taken its time already.
                -- squawk-ignore adding-not-nullable-field
                ALTER TABLE core.invoice ALTER COLUMN amount_cents SET NOT NULL
            """)
        )
        create_amount_trigger(connection)
