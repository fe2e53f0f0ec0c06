"""What is kept per scope, held against what a rebuild from the history gives."""

from __future__ import annotations

from typing import Any

import psycopg

_KEPT = """
select workspace_id, enrolled, is_baseline, completed, completed_digest, open, open_digest
from upgrader.scope order by workspace_id nulls first
"""
_IN_HISTORY = (
    "select distinct workspace_id from upgrader.history where forgotten_at is null and changes_state"
)


def assert_scopes_are_as_rebuilt(connection: psycopg.Connection[Any]) -> None:
    """Rebuild every scope in a transaction that is rolled back, and compare; no scope may be missing."""
    kept = connection.execute(_KEPT).fetchall()
    with connection.transaction(force_rollback=True):
        connection.execute("truncate upgrader.scope")
        scopes = {row[0] for row in kept} | {scope for (scope,) in connection.execute(_IN_HISTORY)}
        for scope in scopes:
            connection.execute("select upgrader.rebuild_scope(%s)", [scope])
        rebuilt = connection.execute(_KEPT).fetchall()
    assert kept == rebuilt
