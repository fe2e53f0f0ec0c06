"""Give every workspace the standard skills."""

from sqlalchemy import text

from upgrader import WorkspaceContext, workspace_command


@workspace_command("1.22.0", 1780000002000, name="backfill-standard-skills")
class BackfillStandardSkills:
    """Give every workspace the standard skills."""

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(text("INSERT INTO skill (name) VALUES ('reading') ON CONFLICT DO NOTHING"))
