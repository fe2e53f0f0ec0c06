"""The record of how far each scope is: raised on the way up, lowered before anything is taken back."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from upgrader.model import INSTANCE, Scope
from upgrader.sequence.completed import CompletedNames
from upgrader.sequence.pending import inferred_version, reached

if TYPE_CHECKING:
    from upgrader.history.store import HistoryStore
    from upgrader.model import Progress
    from upgrader.sequence.sequence import StepSequence
    from upgrader.sequence.state import DatabaseState
    from upgrader.version import ApplicationVersion, ReleaseVersion


def raise_through(
    state: DatabaseState, sequence: StepSequence, *, application: ApplicationVersion, store: HistoryStore
) -> None:
    """Record for each scope the version that it has wholly behind it.

    A workspace is no further than the instance: a version that has no step for it is not passed before the
    run has come through it.
    """
    due = sequence.covered_by(application)
    changed: dict[Scope, ReleaseVersion | None] = {}
    version = reached(due, state.instance, workspace=False, application=application)
    if version is not None and version != state.instance.through:
        changed[INSTANCE] = version
    walked = inferred_version(due, state.instance, workspace=False)
    if walked is not None:
        changed.update(_newly_through(state, due.up_to(walked), application))
    if changed:
        store.record_through(changed)


def lower_through(
    state: DatabaseState,
    sequence: StepSequence,
    *,
    version: ReleaseVersion,
    store: HistoryStore,
    only: Collection[str] | None = None,
) -> None:
    """Record that no scope is past a version of which something is about to be taken back.

    It comes first: a record that is too low is raised again, one that is too high would hide a pending step.

    Args:
        only: the workspaces that it is about; None for every scope.
    """
    changed = {scope: None for scope, progress in _scopes(state, only) if _is_past(progress, version)}
    if changed:
        below = _version_below(state, sequence, version)
        store.record_through(dict.fromkeys(changed, below))


def _is_past(progress: Progress, version: ReleaseVersion) -> bool:
    return progress.position is not None and progress.position >= version


def _scopes(state: DatabaseState, only: Collection[str] | None) -> Iterator[tuple[Scope, Progress]]:
    if only is None:
        yield INSTANCE, state.instance
    for member in (*state.members, *state.others):
        if only is None or member.workspace_id in only:
            yield Scope(member.workspace_id), member.progress


def _version_below(
    state: DatabaseState, sequence: StepSequence, version: ReleaseVersion
) -> ReleaseVersion | None:
    """Give the version before one, also where its commands are no longer in the code: the history knows it."""
    enrolment = state.instance.enrolment
    known = [
        *(part.version for part in sequence.versions),
        *CompletedNames(state).versions.values(),
        *([enrolment.version] if enrolment and enrolment.version else []),
    ]
    return max((one for one in known if one < version), default=None)


def _newly_through(
    state: DatabaseState, walked: StepSequence, application: ApplicationVersion
) -> Iterator[tuple[Scope, ReleaseVersion]]:
    """Give the workspaces that have come further than is recorded; one look per distinct progress."""
    found: dict[int, ReleaseVersion | None] = {}
    for member in state.members:
        progress = member.progress
        if progress.enrolment is None:
            continue
        if id(progress) not in found:
            now = reached(walked, progress, workspace=True, application=application)
            found[id(progress)] = now if now != progress.through else None
        version = found[id(progress)]
        if version is not None:
            yield Scope(member.workspace_id), version
