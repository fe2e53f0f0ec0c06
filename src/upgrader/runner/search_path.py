"""Where the names of a workspace's step are looked for."""

from __future__ import annotations

from collections.abc import Sequence

from upgrader.database.connect import identifier
from upgrader.model import Workspace


def search_path_of(workspace: Workspace | None, extra: Sequence[str]) -> dict[str, str]:
    """Give the setting as SET takes it: the workspace's schema, then `extra`; none without a schema."""
    if workspace is None or workspace.schema is None:
        return {}
    return {"search_path": ", ".join(identifier(schema) for schema in (workspace.schema, *extra))}
