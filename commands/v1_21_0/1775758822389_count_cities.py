"""The first look into every workspace."""

from sqlalchemy import text

from upgrader import WorkspaceContext, workspace_command


@workspace_command("1.21.0", 1775758822389, name="count-cities")
class CountCities:
    """Count the workspace's cities and people into core.workspace_statistics.

    The search_path is the workspace's schema, so `city` is this workspace's table; what all share is written
    with its schema, `core.`. The work and its history row are one transaction: either both are there or
    neither.

    Nothing here is needed to make it repeatable. ON CONFLICT is there for the operator who counts again one
    day: `upgrader workspace run count-cities --again`.
    """

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(
            text("""
                INSERT INTO core.workspace_statistics (workspace_id, cities, population)
                SELECT CAST(:workspace_id AS uuid), count(*), coalesce(sum(population), 0) FROM city
                ON CONFLICT (workspace_id) DO UPDATE
                SET cities = excluded.cities,
                    population = excluded.population,
                    counted_at = excluded.counted_at
            """),
            {"workspace_id": ctx.workspace.id},
        )

    def down_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(
            text("DELETE FROM core.workspace_statistics WHERE workspace_id = CAST(:workspace_id AS uuid)"),
            {"workspace_id": ctx.workspace.id},
        )
