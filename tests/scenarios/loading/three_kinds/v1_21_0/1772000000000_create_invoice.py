"""Create core.invoice."""

from sqlalchemy import Connection, text

from upgrader import instance_command


@instance_command("1.21.0", 1772000000000)
class CreateInvoice:
    """Create core.invoice."""

    def up(self, connection: Connection) -> None:
        connection.execute(text("CREATE TABLE core.invoice (id bigint PRIMARY KEY)"))
