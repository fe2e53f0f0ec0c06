"""A rule that the data must already obey."""

from sqlalchemy import text

from upgrader import WorkspaceContext, workspace_command


@workspace_command("1.22.0", 1778162120466, name="require-coordinates-on-earth")
class RequireCoordinatesOnEarth:
    """Allow in city only latitudes from -90 to 90 and longitudes from -180 to 180 degrees.

    A constraint is where old mistakes come to light, and in one workspace of hundreds there is one. That
    workspace fails and its later steps wait; the others go on; the next version waits for all. Nothing is
    half done: mend the row, run the upgrade again, and it goes on with this step in this workspace.

    The constraints are checked under a lock: a workspace's table is small. In a shared table of millions they
    would be added NOT VALID, and validated by a slow command.

    Do not let a command correct what it finds unless the right value is known: nobody can tell from here
    where a decimal point has slipped.
    """

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(
            text("""
                ALTER TABLE city
                -- squawk-ignore constraint-missing-not-valid
                ADD CONSTRAINT city_latitude_check CHECK (latitude BETWEEN -90 AND 90),
                -- squawk-ignore constraint-missing-not-valid
                ADD CONSTRAINT city_longitude_check CHECK (longitude BETWEEN -180 AND 180)
            """)
        )

    def down_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(
            text("""
                ALTER TABLE city
                DROP CONSTRAINT city_latitude_check,
                DROP CONSTRAINT city_longitude_check
            """)
        )
