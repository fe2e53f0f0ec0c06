"""Add invoice.workspace_id."""

from sqlalchemy import Connection, text

from upgrader import instance_command

from .._tables import INVOICE


@instance_command("1.22.0", 1775758621017)
class AddWorkspaceIdToInvoice:
    """Add invoice.workspace_id.

    It stays nullable until the slow step has filled it.
    """

    def up(self, connection: Connection) -> None:
        connection.execute(text(f"ALTER TABLE {INVOICE} ADD COLUMN workspace_id uuid"))

    def down(self, connection: Connection) -> None:
        connection.execute(text(f"ALTER TABLE {INVOICE} DROP COLUMN workspace_id"))
