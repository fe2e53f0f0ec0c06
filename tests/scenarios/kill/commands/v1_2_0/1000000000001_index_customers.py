"""An index that takes its time."""

from sqlalchemy import Connection

from upgrader import create_index_concurrently, drop_index_concurrently, instance_command


@instance_command("1.2.0", 1000000000001, transactional=False)
class IndexCustomers:
    """Index core.customer by an expression."""

    def up(self, connection: Connection) -> None:
        create_index_concurrently(
            connection, "customer_key_idx", table="core.customer", columns="core.sort_key(name), id"
        )

    def down(self, connection: Connection) -> None:
        drop_index_concurrently(connection, "core.customer_key_idx")
