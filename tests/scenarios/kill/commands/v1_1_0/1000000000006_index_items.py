"""An index in each workspace, without a transaction."""

from upgrader import (
    WorkspaceContext,
    create_index_concurrently,
    drop_index_concurrently,
    workspace_command,
)


@workspace_command("1.1.0", 1000000000006, transactional=False)
class IndexItems:
    """Index item by its label."""

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        create_index_concurrently(ctx.connection, "item_label_idx", table="item", columns="label, id")

    def down_on_workspace(self, ctx: WorkspaceContext) -> None:
        drop_index_concurrently(ctx.connection, "item_label_idx")
