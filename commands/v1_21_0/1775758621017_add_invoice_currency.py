"""A new column, without a word about old rows."""

from sqlalchemy import Connection, text

from upgrader import instance_command


@instance_command("1.21.0", 1775758621017)
class AddInvoiceCurrency:
    """Add core.invoice.currency_code, empty for now.

    A nullable column without a default is a change of the catalogue only: it takes no longer on a billion
    rows than on ten, and code of 1.20.0, which knows nothing of the column, goes on working. That is what
    makes it a *fast* command. Filling it takes time, so a slow command of this version does that.
    """

    def up(self, connection: Connection) -> None:
        connection.execute(text("ALTER TABLE core.invoice ADD COLUMN currency_code text"))

    def down(self, connection: Connection) -> None:
        connection.execute(text("ALTER TABLE core.invoice DROP COLUMN currency_code"))
