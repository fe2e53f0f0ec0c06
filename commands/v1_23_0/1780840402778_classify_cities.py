"""A column that the database computes."""

from sqlalchemy import text

from upgrader import WorkspaceContext, workspace_command


@workspace_command("1.23.0", 1780840402778, name="classify-cities")
class ClassifyCities:
    """Add city.population_class: small, medium, large or mega, computed from the population.

    A generated column needs no backfill and cannot go stale. Its price: PostgreSQL writes the whole table
    anew while it is locked. For the few thousand rows of a workspace that is milliseconds; for a shared table
    of millions it would be a nullable column, a slow command and a trigger instead.
    """

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(
            text("""
                -- squawk-ignore adding-field-with-default
                ALTER TABLE city ADD COLUMN population_class text NOT NULL GENERATED ALWAYS AS (
                    CASE WHEN population >= 10000000 THEN 'mega'
                         WHEN population >= 1000000 THEN 'large'
                         WHEN population >= 100000 THEN 'medium'
                         ELSE 'small' END
                ) STORED
            """)
        )

    def down_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(text("ALTER TABLE city DROP COLUMN population_class"))
