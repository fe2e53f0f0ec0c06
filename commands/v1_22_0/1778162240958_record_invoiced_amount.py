"""A workspace step that needs what a slow step makes."""

from sqlalchemy import text

from upgrader import WorkspaceContext, workspace_command

from .._shared import expect_one_row

_RECORD = text("""
    UPDATE core.workspace_statistics
    SET invoiced_minor = (
        SELECT coalesce(sum(amount_minor), 0) FROM core.invoice
        WHERE workspace_id = CAST(:workspace_id AS uuid)
    )
    WHERE workspace_id = CAST(:workspace_id AS uuid)
""")
_CLEAR = text("""
    UPDATE core.workspace_statistics SET invoiced_minor = NULL
    WHERE workspace_id = CAST(:workspace_id AS uuid)
""")


@workspace_command("1.22.0", 1778162240958, name="record-invoiced-amount", after_slow=True)
class RecordInvoicedAmount:
    """Add up core.invoice.amount_minor for the workspace, in core.workspace_statistics.

    Workspace steps do not wait for the slow steps of their version, which an operator may put off to the
    night. This one must: before the backfill most amounts are NULL, and sum() passes over NULL in silence.
    Hence `after_slow=True`. It has the last timestamp of its version, so that nothing else waits with it.
    """

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        expect_one_row(ctx.connection.execute(_RECORD, {"workspace_id": ctx.workspace.id}))

    def down_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(_CLEAR, {"workspace_id": ctx.workspace.id})
