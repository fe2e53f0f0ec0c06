"""Without a transaction and without a key, in each workspace."""

from upgrader import WorkspaceContext, workspace_command


@workspace_command("1.1.0", 1000000000007, transactional=False)
class TouchNotes:
    """Raise note.touched."""

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.backfill("note", set_={"touched": "touched + 1"}, batch_size=100)
