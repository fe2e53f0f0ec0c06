"""What the role may do and see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from upgrader.database.connect import identifier
from upgrader.model import PreflightCheck, PreflightFinding, PreflightLevel

if TYPE_CHECKING:
    from upgrader.preflight.facts import Facts


def role(facts: Facts) -> Iterator[PreflightFinding]:
    """Tell of rights that will be missed for certain. Nobody needs to be a superuser."""
    user = identifier(facts.user)
    if facts.privileges.table_exists and not facts.privileges.owns_tables:
        yield PreflightFinding(
            PreflightCheck.ROLE,
            PreflightLevel.WARN,
            f"role {facts.user} owns no table of this database: it may neither alter nor index one",
            f"use the role that owns them, or let it be a member: GRANT owner TO {user};",
        )


def row_security(facts: Facts) -> Iterator[PreflightFinding]:
    """Refuse a role from which policies may hide workspaces: they would be left out without a word."""
    table = facts.workspace_table
    if table is None or not table.filters:
        return
    policies = ", ".join(table.filters)
    yield PreflightFinding(
        PreflightCheck.ROW_SECURITY,
        PreflightLevel.REFUSE,
        f"row-level security decides which rows of {table.name} role {facts.user} sees ({policies}): "
        "workspaces that it hides would be left out without a word",
        f"use the owner of the table, or ALTER ROLE {identifier(facts.user)} BYPASSRLS; "
        'if the role does see all of them: [preflight] ignore = ["row-security"]',
    )
