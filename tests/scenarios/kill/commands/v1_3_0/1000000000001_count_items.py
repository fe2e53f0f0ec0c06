"""A data migration over the workspaces, then the table it was for."""

from sqlalchemy import Connection, text

from upgrader import DataMigrationContext, instance_command

from .._effect import record_effect, record_reversal

_COUNT = """
insert into core.item_count select :id, count(*) from "{schema}".item
on conflict (workspace_id) do update set items = excluded.items
"""


@instance_command("1.3.0", 1000000000001, "slow")
class CountItems:
    """Count the items of each workspace into a table that up() completes."""

    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        with ctx.transaction() as connection:
            connection.execute(
                text(
                    "create table if not exists core.item_count (workspace_id text primary key, items bigint)"
                )
            )
        for workspace in list(ctx.workspaces()):
            with ctx.transaction() as connection:
                connection.execute(text(_COUNT.format(schema=workspace.schema)), {"id": workspace.id})

    def up(self, connection: Connection) -> None:
        connection.execute(text("alter table core.item_count alter column items set not null"))
        connection.execute(text("update core.item_count set items = items * 10"))
        record_effect(connection, "CountItems")

    def down(self, connection: Connection) -> None:
        connection.execute(text("drop table if exists core.item_count"))
        record_reversal(connection, "CountItems")
