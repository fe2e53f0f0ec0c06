"""A column gets a better name, first half: expand."""

from sqlalchemy import Connection, text

from upgrader import instance_command

from .._invoice_amount import create_amount_trigger, drop_amount_trigger


@instance_command("1.22.0", 1778161904511)
class AddInvoiceAmountMinor:
    """Add core.invoice.amount_minor beside amount_cents, as not every currency has cents.

    RENAME COLUMN would be one statement, and every process of 1.21.0 that still runs would break with it. So
    the rename takes two releases. This one adds the new column, and a trigger that keeps both equal: the old
    code writes the one, the new code the other, and each finds what it expects. A slow command of this
    version fills the old rows. 1.23.0 drops the old column, when no code of 1.21.0 is left.
    """

    def up(self, connection: Connection) -> None:
        connection.execute(text("ALTER TABLE core.invoice ADD COLUMN amount_minor bigint"))
        create_amount_trigger(connection)

    def down(self, connection: Connection) -> None:
        drop_amount_trigger(connection)
        connection.execute(text("ALTER TABLE core.invoice DROP COLUMN amount_minor"))
