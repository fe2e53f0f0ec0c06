"""A shared table that the workspaces of the same version write to."""

from sqlalchemy import Connection, text

from upgrader import instance_command


@instance_command("1.21.0", 1775758683240)
class CreateWorkspaceStatistics:
    """Create core.workspace_statistics, a row for each workspace.

    Within a version the fast instance steps come before any workspace step. So `count-cities`, below in this
    version, finds the table and need not ask whether it is there.
    """

    def up(self, connection: Connection) -> None:
        connection.execute(
            text("""
                CREATE TABLE core.workspace_statistics (
                    workspace_id uuid PRIMARY KEY REFERENCES core.workspace ON DELETE CASCADE,
                    cities bigint NOT NULL,
                    population bigint NOT NULL,
                    counted_at timestamptz NOT NULL DEFAULT now()
                )
            """)
        )

    def down(self, connection: Connection) -> None:
        connection.execute(text("DROP TABLE core.workspace_statistics"))
