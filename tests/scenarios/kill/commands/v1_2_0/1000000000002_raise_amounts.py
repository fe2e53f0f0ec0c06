"""A change that must not be made twice."""

from sqlalchemy import Connection, text

from upgrader import instance_command

from .._effect import record_effect, record_reversal


@instance_command("1.2.0", 1000000000002)
class RaiseAmounts:
    """Raise every amount by a tenth and one."""

    def up(self, connection: Connection) -> None:
        connection.execute(text("update core.customer set amount_cents = amount_cents * 11 / 10 + 1"))
        record_effect(connection, "RaiseAmounts")

    def down(self, connection: Connection) -> None:
        connection.execute(text("update core.customer set amount_cents = (amount_cents - 1) * 10 / 11"))
        record_reversal(connection, "RaiseAmounts")
