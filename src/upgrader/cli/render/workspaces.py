"""The workspaces, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Block, Cell, Column, Line, Table
from upgrader.cli.render.documents import Document, envelope, quarantine_fields
from upgrader.cli.render.json_text import Each
from upgrader.cli.render.wording import age, counted

if TYPE_CHECKING:
    from upgrader.model import Progress, Quarantine, Workspace
    from upgrader.survey import Survey

_COLUMNS = (
    Column("id", whole=True),
    Column("name"),
    Column("status", whole=True),
    Column("schema"),
    Column("enrolled at", whole=True),
    Column("through", whole=True),
)
_NARROW = 100
ROWS_AT_MOST = 1000


@dataclass(frozen=True, slots=True)
class ListedWorkspace:
    """A workspace with how far it is."""

    workspace: Workspace
    progress: Progress
    in_scope: bool
    quarantine: Quarantine | None = None

    @property
    def enrolled_at(self) -> str | None:
        """`start`, a version, or None."""
        return self.progress.enrolment.text if self.progress.enrolment else None

    @property
    def through(self) -> str | None:
        """The version that is behind it, as recorded."""
        position = self.progress.position
        return position.text if position else None


def listed(survey: Survey) -> Iterator[ListedWorkspace]:
    """Put workspaces and their progress together: those in scope, then the others, each in their order."""
    state, listing = survey.state, survey.listing
    inside = {member.workspace_id: member for member in (*state.members, *state.quarantined)}
    for workspace in listing.in_scope:
        member = inside[workspace.id]
        yield ListedWorkspace(workspace, member.progress, in_scope=True, quarantine=member.quarantine)
    for workspace, member in zip(listing.out_of_scope, state.others, strict=True):
        yield ListedWorkspace(workspace, member.progress, in_scope=False, quarantine=member.quarantine)


def workspaces_blocks(survey: Survey, *, is_whole: bool, width: int | None) -> Iterator[Block]:
    """Give each workspace: a table where there is room, else a block for each.

    Args:
        is_whole: show every row; else the first thousand.
    """
    rows = list(listed(survey))
    shown = rows if is_whole else rows[:ROWS_AT_MOST]
    is_first = survey.state.is_first
    if width is not None and width < _NARROW:
        for row in shown:
            yield Line(row.workspace.label, verbatim=True)
            yield Line(_details(row, is_first=is_first), indent=2)
    else:
        yield Table(_COLUMNS, [_cells(row, is_first=is_first) for row in shown])
    if len(shown) < len(rows):
        yield Line()
        yield Line(f"{counted(len(rows) - len(shown), 'workspace')} more: --all shows them")
    aside = [row for row in rows if row.quarantine]
    gone = survey.quarantined.keys() - {row.workspace.id for row in rows}
    if aside:
        yield Line()
        for row in aside:
            yield Line(f"{row.workspace.id}: {_quarantine(row)}", style="warning")
    if rows:
        yield Line()
    others = sum(not row.in_scope for row in rows)
    told = f", {len(aside):,} quarantined" if aside else ""
    yield Line(f"{counted(len(rows), 'workspace')}, {others:,} of them out of scope{told}")
    for workspace_id in sorted(gone):
        text = f"{workspace_id} is quarantined and no longer there: upgrader workspace forget {workspace_id}"
        yield Line(text, style="warning")


def workspaces_document(survey: Survey, exit_code: int) -> Document:
    """Give each workspace; `enrolled_at` is null where it is not enrolled, `through` where nothing is done."""
    return {
        **envelope("done", exit_code),
        "first_upgrade": survey.state.is_first,
        "workspaces": Each(listed(survey), lambda row: _fields(row, is_first=survey.state.is_first)),
    }


def _fields(row: ListedWorkspace, *, is_first: bool) -> Document:
    return {
        "id": row.workspace.id,
        "display_name": row.workspace.display_name,
        "status": row.workspace.status,
        "schema": row.workspace.schema,
        "in_scope": row.in_scope,
        "enrolled_at": None if is_first and row.enrolled_at == "start" else row.enrolled_at,
        "through": row.through,
        "quarantine": quarantine_fields(row.quarantine) if row.quarantine else None,
    }


def _cells(row: ListedWorkspace, *, is_first: bool) -> list[str | Cell]:
    workspace = row.workspace
    status = workspace.status or ""
    return [
        workspace.id,
        workspace.display_name or "",
        status if row.in_scope else Cell(f"{status} (out of scope)", "dim"),
        workspace.schema or "",
        _enrolled(row, is_first=is_first),
        row.through or "",
    ]


def _details(row: ListedWorkspace, *, is_first: bool) -> str:
    enrolled = _enrolled(row, is_first=is_first)
    parts = [
        row.workspace.status or "",
        "" if row.in_scope else "out of scope",
        f"schema {row.workspace.schema}" if row.workspace.schema else "",
        f"enrolled at {enrolled}" if row.enrolled_at else enrolled,
        f"through {row.through}" if row.through else "",
    ]
    return ", ".join(part for part in parts if part)


def _quarantine(row: ListedWorkspace) -> str:
    assert row.quarantine is not None
    quarantine = row.quarantine
    return f"quarantined for {age(quarantine.age_seconds)} by {quarantine.by}: {quarantine.reason}"


def _enrolled(row: ListedWorkspace, *, is_first: bool) -> str:
    if is_first and row.enrolled_at == "start":
        return ""  # nobody has a mark yet: the first upgrade enrols everything
    return row.enrolled_at or "not enrolled"
