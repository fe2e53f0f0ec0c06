"""Room for what this version's workspace steps find out."""

from sqlalchemy import Connection, text

from upgrader import instance_command


@instance_command("1.22.0", 1778161937093)
class ExtendWorkspaceStatistics:
    """Add the capital and the amount invoiced to core.workspace_statistics.

    The table is of 1.21.0, whose command is released: it stays as it is, and what is new is a new command.
    Both columns are one ALTER TABLE, which takes its lock once.
    """

    def up(self, connection: Connection) -> None:
        connection.execute(
            text("""
                ALTER TABLE core.workspace_statistics
                ADD COLUMN capital_city_id bigint,
                ADD COLUMN invoiced_minor bigint
            """)
        )

    def down(self, connection: Connection) -> None:
        connection.execute(
            text("""
                ALTER TABLE core.workspace_statistics
                DROP COLUMN capital_city_id,
                DROP COLUMN invoiced_minor
            """)
        )
