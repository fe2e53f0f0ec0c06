"""Enrolling a workspace from the application that makes it."""

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
    function = identifier(schema, "enroll_workspace").replace(
        ":", r"\:"
    )  # text() takes a colon for a parameter
    connection.execute(
        text(f"select {function}(:workspace_id, :version)"),
        {"workspace_id": str(workspace_id), "version": version},
    )
