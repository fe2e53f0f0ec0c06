"""Room for what this version's workspace steps find out."""

from sqlalchemy import Connection, text

from upgrader import instance_command


@instance_command("1.23.0", 1780840210347)
class AddLargeCitiesToStatistics:
    """Add the number of large cities to core.workspace_statistics, 0 until counted.

    A constant default is cheap, whatever the size of the table: PostgreSQL keeps it in the catalogue and
    writes no row. A volatile one, such as gen_random_uuid(), would write every row while the table is locked.
    """

    def up(self, connection: Connection) -> None:
        connection.execute(
            text("ALTER TABLE core.workspace_statistics ADD COLUMN large_cities bigint NOT NULL DEFAULT 0")
        )

    def down(self, connection: Connection) -> None:
        connection.execute(text("ALTER TABLE core.workspace_statistics DROP COLUMN large_cities"))
