"""An index on a table that is being written to."""

from sqlalchemy import Connection

from upgrader import create_index_concurrently, drop_index_concurrently, instance_command


@instance_command("1.21.0", 1775758702155, transactional=False)
class IndexInvoicesByWorkspace:
    """Index core.invoice by workspace and date, without a halt for those who write invoices.

    A plain CREATE INDEX keeps writers out until it is done. CREATE INDEX CONCURRENTLY does not, but
    PostgreSQL refuses it inside a transaction, hence `transactional=False`. Such a step can be cut off after
    its work and before its history row, and is then tried again: `create_index_concurrently` takes a valid
    index of this definition as done and clears away the invalid one that an unfinished attempt leaves.
    """

    def up(self, connection: Connection) -> None:
        create_index_concurrently(
            connection,
            "invoice_workspace_id_issued_on_idx",
            table="core.invoice",
            columns=("workspace_id", "issued_on"),
        )

    def down(self, connection: Connection) -> None:
        drop_index_concurrently(connection, "core.invoice_workspace_id_issued_on_idx")
