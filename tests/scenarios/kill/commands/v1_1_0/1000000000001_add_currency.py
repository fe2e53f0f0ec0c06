"""A column."""

from sqlalchemy import Connection, text

from upgrader import instance_command

from .._effect import record_effect, record_reversal


@instance_command("1.1.0", 1000000000001)
class AddCurrency:
    """Add customer.currency."""

    def up(self, connection: Connection) -> None:
        connection.execute(text("alter table core.customer add column currency text"))
        record_effect(connection, "AddCurrency")

    def down(self, connection: Connection) -> None:
        connection.execute(text("alter table core.customer drop column currency"))
        record_reversal(connection, "AddCurrency")
