"""The two calls of an application about its workspaces: one is made, one is deleted."""

from __future__ import annotations

from sqlalchemy import Connection, text

from upgrader.database.connect import identifier


def enroll_workspace(
    connection: Connection, workspace_id: object, *, version: str, schema: str = "upgrader"
) -> None:
    """Enrol a workspace, in the transaction that creates it.

    It is one call of the SQL function `upgrader.enroll_workspace(text, text)`; other languages call that.
    The role needs EXECUTE on the function and nothing else. It waits while a barrier is being passed
    (milliseconds), and a barrier waits for the transaction.

    Args:
        connection: the connection of the creating transaction (`session.connection()` gives it).
        workspace_id: the value of the id column.
        version: the release whose shape the workspace was made in: `"1.22.0"`. Everything at or below it
            counts as done. `"start"`: nothing does.
        schema: the history schema.

    Raises:
        sqlalchemy.exc.DBAPIError: it is enrolled at another version already, `version` is no release
            version, or the database has no history yet (run `upgrader upgrade` or `upgrader baseline` first).
    """
    function = _callable(schema, "enroll_workspace")
    connection.execute(
        text(f"select {function}(:workspace_id, :version)"),
        {"workspace_id": str(workspace_id), "version": version},
    )


def forget_workspace(connection: Connection, workspace_id: object, *, schema: str = "upgrader") -> None:
    """End the history of a workspace, in the transaction that deletes it; its id may be used again then.

    It is one call of the SQL function `upgrader.forget_workspace(text)`; other languages call that. The role
    needs EXECUTE on the function and nothing else. Its attempts stay in the history, marked, and count no
    more; its quarantine ends. One that was never enrolled has nothing to end. It waits while a barrier is
    being passed, and for a step that is being recorded (milliseconds): make it the last call before COMMIT.

    Args:
        connection: the connection of the deleting transaction.
        workspace_id: the value of the id column.
        schema: the history schema.

    Raises:
        sqlalchemy.exc.DBAPIError: the database has no history yet.
    """
    function = _callable(schema, "forget_workspace")
    connection.execute(text(f"select {function}(:workspace_id)"), {"workspace_id": str(workspace_id)})


def _callable(schema: str, function: str) -> str:
    """Quote a function's name for text(), which takes a colon for a parameter."""
    return identifier(schema, function).replace(":", r"\:")
