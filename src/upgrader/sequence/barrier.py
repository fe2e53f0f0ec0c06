"""The walk over the versions, and the barrier before each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from upgrader.sequence.plan import PlannedVersion, Stop, StopReason
from upgrader.sequence.wording import counted, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from upgrader.model import Step
    from upgrader.sequence.work import VersionWork
    from upgrader.version import ReleaseVersion


@dataclass(frozen=True)
class Walk:
    """How far a walk comes."""

    versions: tuple[PlannedVersion, ...] = ()
    stop: Stop | None = None
    warnings: tuple[str, ...] = ()


@dataclass
class Holding:
    """What has been left behind so far and holds the barrier before the next version.

    Attributes:
        begun: the highest version that any scope has begun. The barriers up to it are passed: a workspace
            that is not enrolled and appears now holds only those after it.
    """

    begun: ReleaseVersion | None
    slow: list[Step] = field(default_factory=list)
    waiting: list[tuple[Step, int]] = field(default_factory=list)
    enrolled: dict[str, None] = field(default_factory=dict)
    unenrolled: dict[str, None] = field(default_factory=dict)

    def add(self, work: VersionWork) -> None:
        """Remember what stays behind in a version."""
        self.slow.extend(work.deferred)
        self.waiting.extend(work.waiting_counts())
        for member in work.holders:
            group = self.unenrolled if member.progress.enrolment is None else self.enrolled
            group[member.workspace_id] = None

    def stop_before(self, version: ReleaseVersion, *, defer_slow: bool) -> Stop | None:
        """Give the stop before a version that has something to run; None where the barrier is open."""
        is_passed = self.begun is not None and version <= self.begun
        workspace_ids = (*self.enrolled, *(() if is_passed else self.unenrolled))
        if workspace_ids:
            return workspaces_left(version, workspace_ids)
        if self.slow and not defer_slow:
            return _slow_deferred(version, tuple(self.slow))
        return None

    def overtaken_by(self, version: ReleaseVersion) -> Iterator[str]:
        """Give a warning for each step that this version overtakes, once."""
        for step in self.slow:
            yield f"{step.name} is deferred and will run out of order: {version} goes before it"
        for step, count in self.waiting:
            yield (
                f"{step.name} waits for a deferred slow step and will run out of order in "
                f"{counted(count, 'workspace')}: {version} goes before it"
            )
        self.slow.clear()
        self.waiting.clear()


def walk(works: Sequence[VersionWork], *, defer_slow: bool, begun: ReleaseVersion | None) -> Walk:
    """Go through the versions until the end or a closed barrier. Without any work: an empty walk."""
    holding = Holding(begun)
    planned: list[PlannedVersion] = []
    warnings: list[str] = []
    for work in works:
        if work.is_runnable:
            stop = holding.stop_before(work.version, defer_slow=defer_slow)
            if stop:
                return Walk(tuple(planned), stop, tuple(warnings))
            warnings.extend(holding.overtaken_by(work.version))
        version = work.planned()
        if not version.is_empty or version.deferred:
            planned.append(version)
        holding.add(work)
    return Walk(tuple(planned), None, tuple(warnings))


def workspaces_left(version: ReleaseVersion, workspace_ids: tuple[str, ...]) -> Stop:
    """Give the stop before a version because of workspaces that are not through what comes before."""
    count = counted(len(workspace_ids), "workspace")
    verb = "is" if len(workspace_ids) == 1 else "are"
    return Stop(
        StopReason.WORKSPACES_LEFT,
        before=version,
        message=f"stopped before {version}: {count} {verb} not through: {listed(workspace_ids)}",
        hint="mend or enroll what is named above, then run `upgrader upgrade` again",
        workspace_ids=workspace_ids,
    )


def _slow_deferred(version: ReleaseVersion, steps: tuple[Step, ...]) -> Stop:
    names = listed([step.name for step in steps])
    verb = "is" if len(steps) == 1 else "are"
    return Stop(
        StopReason.SLOW_DEFERRED,
        before=version,
        message=f"stopped before {version}: {counted(len(steps), 'slow step')} {verb} pending: {names}",
        hint=(
            "run `upgrader upgrade --include-slow` to run them now, "
            f"or `upgrader upgrade --defer-slow` to go on with {version} before them"
        ),
        steps=steps,
    )
