"""The history store: few methods, no policy. The SQL one is beside it; the in-memory one in `testing`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from upgrader.model import Attempt, AttemptStatus, Enrolment, Progress, Quarantine, Scope
from upgrader.version import ReleaseVersion


@dataclass(frozen=True, eq=False)
class HistorySnapshot:
    """How far every scope is, read in a fixed number of queries.

    Attributes:
        exists: whether there is a history at all.
        instance: the instance's progress.
        workspaces: progress by workspace id; scopes in equal state share one object.
        quarantined: the workspaces that are set aside, by id, whether they are still there or not.
    """

    exists: bool
    instance: Progress = field(default_factory=Progress)
    workspaces: Mapping[str, Progress] = field(default_factory=dict)
    quarantined: Mapping[str, Quarantine] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AttemptFilter:
    """Which attempts are asked for; None means any.

    Attributes:
        step: a full name, a class name or a timestamp.
        limit: at most so many, newest first.
    """

    step: str | None = None
    workspace_id: str | None = None
    instance_only: bool = False
    status: AttemptStatus | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class AnnouncedRun:
    """Who holds the run lock, or held it last, by its own word."""

    run_id: str
    client: str
    backend_pid: int
    executed_by_version: str


class HistoryStore(Protocol):
    """Where attempts are kept."""

    def snapshot(self) -> HistorySnapshot:
        """Read how far every scope is. Never writes; without a history it is empty."""

    def attempts(self, wanted: AttemptFilter) -> Iterator[Attempt]:
        """Give attempts, newest first; those of workspaces that were forgotten, too."""

    def latest_open(self, scopes: Iterable[Scope], *, step: str | None = None) -> Iterator[Attempt]:
        """Give the latest attempt of each step that was tried and is not completed, in these scopes.

        Attempts of an earlier life of a workspace's id are none of them, here and in all that follows.

        Args:
            step: only at the step of this full name, which costs no more the longer the history is.
        """

    def last_attempt(self, name: str, scope: Scope) -> int:
        """Give the number of the latest attempt at a step in a scope; 0 where it was never tried."""

    def latest_status(self, name: str, scope: Scope) -> AttemptStatus | None:
        """Give what the latest attempt at a step in a scope came to; None where there is none that counts."""

    def start(self, attempt: Attempt) -> bool:
        """Commit a `running` row; False, and no row, where the workspace's id lives another life by now.

        Raises:
            RunSupersededError: the attempt is recorded already.
        """

    def finish(self, attempt: Attempt, *, is_running: bool) -> None:
        """Commit the outcome of an attempt: a new row, or that of its `running` row.

        It belongs to the life of the workspace's id in which it was planned, and counts only there.

        Raises:
            RunSupersededError: the attempt is recorded already, or its `running` row is not there any more.
        """

    def interrupt_running(self) -> int:
        """Turn each `running` row, left by a dead run, into `interrupted`; give their number."""

    def mark(self, enrolment: Enrolment, scopes: Iterable[Scope], *, label: str, executed_by: str) -> int:
        """Write one mark for each scope, in one transaction; give the number written.

        A scope that has this very mark already is left alone.

        Args:
            label: `enrolment` or `baseline`.
        """

    def record_through(self, through: Mapping[Scope, ReleaseVersion | None]) -> None:
        """Record, for scopes in which nothing of a version is left, that they are past it; None: past none."""

    def quarantine(
        self, workspace_ids: Iterable[str], *, reason: str, by: str, executed_by: str
    ) -> Collection[str]:
        """Set workspaces aside, in one transaction; give the ids of those that were not set aside already.

        Those that were keep their reason.
        """

    def release(self, workspace_ids: Iterable[str]) -> Collection[str]:
        """Bring workspaces back; give the ids of those that were set aside. Waits for a passing barrier."""

    def forget(self, workspace_id: str) -> bool:
        """End the history of a workspace, its quarantine too; tell whether there was any.

        Its attempts stay, marked. Waits for a passing barrier.
        """
