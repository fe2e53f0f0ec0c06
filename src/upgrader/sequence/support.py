"""Whether the database is too old for the commands that the code still carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.sequence.pending import PendingSteps
from upgrader.sequence.plan import Refusal, RefusalReason
from upgrader.sequence.wording import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from upgrader.model import Progress
    from upgrader.sequence.situation import Situation
    from upgrader.version import ReleaseVersion

INSTANCE_NAME = "instance"


def find_unsupported(situation: Situation) -> Iterator[Refusal]:
    """Refuse scopes that the loaded commands cannot bring up without a gap; none if nothing is loaded."""
    lowest = situation.sequence.lowest
    if lowest is None:
        return
    previous = _version_before(situation, lowest)
    behind: dict[str, None] = {}
    if previous is not None:
        behind = _scopes(situation, lambda progress, _: _is_below(progress, previous))
    if previous is not None and behind:
        yield _refusal(tuple(behind), previous, f"commands below {lowest} are no longer in the code")
    oldest = situation.options.oldest_supported
    if oldest is None:
        return
    support = _Support(situation, oldest, lowest)
    old = [name for name in _scopes(situation, support.is_too_old) if name not in behind]
    if old:
        yield _refusal(tuple(old), oldest, f"oldest_supported is {oldest}")


def _version_before(situation: Situation, lowest: ReleaseVersion) -> ReleaseVersion | None:
    """Give the highest version below the lowest one loaded that this database shows a trace of.

    A workspace's enrolment is no such trace: it is often at a release without commands, which nothing else in
    the database will ever have reached.
    """
    baseline = situation.state.instance.enrolment
    marks = [
        *situation.completed.versions.values(),
        *(progress.through for progress in situation.completed.progresses),
        baseline.version if baseline else None,
    ]
    return max((mark for mark in marks if mark is not None and mark < lowest), default=None)


def _is_below(progress: Progress, version: ReleaseVersion) -> bool:
    return progress.position is None or progress.position < version


class _Support:
    """The question whether a scope is below `oldest_supported`."""

    def __init__(self, situation: Situation, oldest: ReleaseVersion, lowest: ReleaseVersion) -> None:
        self._oldest = oldest
        self._lowest = lowest
        self._pending = PendingSteps(situation.sequence.up_to(oldest))
        self._names = situation.sequence.by_name.keys()

    def is_too_old(self, progress: Progress, workspace: bool) -> bool:
        """Tell it. A scope that began with the loaded commands is as far as what is pending on it says."""
        position = progress.position
        if position is not None and position >= self._oldest:
            return False
        has_begun = not progress.completed.isdisjoint(self._names)
        if has_begun or (position is not None and position >= self._lowest):
            return bool(self._pending.of(progress, workspace=workspace))
        return position is not None or self._oldest >= self._lowest


def _scopes(situation: Situation, is_refused: Callable[[Progress, bool], bool]) -> dict[str, None]:
    """Give the instance and the workspaces of which it is true, asked once for each progress."""
    keys = {id(progress) for progress in situation.roster.progresses.values() if is_refused(progress, True)}
    unenrolled = {member.workspace_id for member in situation.unenrolled}
    found: dict[str, None] = {}
    if is_refused(situation.state.instance, False):
        found[INSTANCE_NAME] = None
    for member in situation.state.members:
        if id(member.progress) in keys and member.workspace_id not in unenrolled:
            found[member.workspace_id] = None
    return found


def _refusal(names: tuple[str, ...], version: ReleaseVersion, why: str) -> Refusal:
    texts = [name if name == INSTANCE_NAME else f"workspace {name}" for name in names]
    return Refusal(
        RefusalReason.UNSUPPORTED_VERSION,
        message=f"not at {version} yet, and {why}: {listed(texts)}",
        hint=(
            f"upgrade to {version} first with a release that still carries its commands, then come back; "
            f"if the database is in the shape of {version} already, `upgrader baseline {version}` "
            "or `upgrader workspace enroll ID --at VERSION` says so"
        ),
        subjects=names,
    )
