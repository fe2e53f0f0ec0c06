"""The rows of a status: workspaces, made when they are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, overload

from upgrader.status.health import Health
from upgrader.status.report import FailedStep, WorkspaceStatus

if TYPE_CHECKING:
    from upgrader.model import Workspace
    from upgrader.sequence.state import Member
    from upgrader.status.standing import Standings
    from upgrader.version import ReleaseVersion

NOT_ENROLLED = "not enrolled"


class WorkspaceRows(Sequence[WorkspaceStatus]):
    """A row for each member; a hundred thousand cost little more than one."""

    def __init__(
        self,
        members: Sequence[Member],
        *,
        workspaces: Mapping[str, Workspace],
        standings: Standings,
        failed: Mapping[str, FailedStep],
    ) -> None:
        """Take what the rows are made of.

        Args:
            failed: the failed step of each workspace that has one.
        """
        self._members = members
        self._workspaces = workspaces
        self._standings = standings
        self._failed = failed

    @overload
    def __getitem__(self, index: int) -> WorkspaceStatus: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[WorkspaceStatus, ...]: ...
    def __getitem__(self, index: int | slice) -> WorkspaceStatus | tuple[WorkspaceStatus, ...]:
        """Give a row, or a tuple of some."""
        if isinstance(index, slice):
            return tuple(self._row(member) for member in self._members[index])
        return self._row(self._members[index])

    def __len__(self) -> int:
        return len(self._members)

    def groups(self) -> Mapping[tuple[ReleaseVersion | None, Health], int]:
        """Count the rows of each version and health; none is made for it."""
        kinds = Counter((id(member.progress), member.quarantine is None) for member in self._members)
        known = {id(member.progress): self._standings.of(member.progress) for member in self._members}
        counts: Counter[tuple[ReleaseVersion | None, Health]] = Counter()
        for (progress, is_active), count in kinds.items():
            standing = known[progress]
            counts[standing.inferred_version, standing.health if is_active else Health.QUARANTINED] += count
        return counts

    def in_trouble(self) -> Iterator[WorkspaceStatus]:
        """Give the rows of those that are stuck, not enrolled or set aside."""
        for member in self._members:
            standing = self._standings.of(member.progress)
            if standing.health.is_stuck or standing.is_held or member.quarantine is not None:
                yield self._row(member)

    def __repr__(self) -> str:
        return f"WorkspaceRows({list(self[:3])!r}{', …' if len(self) > 3 else ''})"

    def _row(self, member: Member) -> WorkspaceStatus:
        workspace = self._workspaces[member.workspace_id]
        standing = self._standings.of(member.progress)
        return WorkspaceStatus(
            workspace_id=member.workspace_id,
            display_name=workspace.display_name,
            status=workspace.status,
            health=standing.health if member.quarantine is None else Health.QUARANTINED,
            inferred_version=standing.inferred_version,
            last_step=standing.last_step,
            pending_count=standing.pending_count,
            enrolled_at=standing.enrolled_at,
            failed_step=self._failed.get(member.workspace_id),
            note=member.quarantine.reason
            if member.quarantine
            else NOT_ENROLLED
            if standing.is_held
            else None,
        )
