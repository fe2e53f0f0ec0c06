"""What the commands and the history of a live database have against each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from upgrader.check.about_step import finding_about
from upgrader.check.moment import moment_of
from upgrader.check.rules import (
    BELOW_BASELINE,
    CHECKSUM_CHANGED,
    COMPLETED_COMMAND_GONE,
    MISSING_STEP,
    RELEASED_VERSION_CHANGED,
)
from upgrader.history.evidence import Completion, PassedOver, WrittenStep
from upgrader.model import Finding, Progress, Step
from upgrader.sequence.missing import MissingStep
from upgrader.sequence.state import DatabaseState
from upgrader.version import ReleaseVersion


@dataclass(frozen=True, slots=True)
class _Places:
    """Where something is so: the instance, or a number of workspaces."""

    workspaces: int

    def __str__(self) -> str:
        if not self.workspaces:
            return "the instance"
        return "1 workspace" if self.workspaces == 1 else f"{self.workspaces:,} workspaces"


def find_changed_checksums(
    steps: Mapping[str, Step], completions: Iterable[Completion], *, accepted: Sequence[str]
) -> Iterator[Finding]:
    """Tell of completed commands whose code is another one now.

    Args:
        steps: the loaded commands by full name.
        accepted: checksums, or their beginnings, that are known to be other ones.
    """
    for done in completions:
        step = steps.get(done.name)
        if step is None or done.checksum == step.checksum or not _is_comparable(done, step):
            continue
        if any(done.checksum.startswith(known) for known in accepted):
            continue
        short = done.checksum[: len("v1:") + 12]
        yield finding_about(
            step,
            CHECKSUM_CHANGED,
            f"{step.class_name} was completed with other code than it has now: by {done.executed_by_version} "
            f"on {done.finished_at:%Y-%m-%d}{_in_scopes(done, step)}",
            "put the code back and write a new command for the change; if nothing of what it does has changed, "
            f'add "{short}" to accepted_checksums in [check]',
        )


def _in_scopes(done: Completion, step: Step) -> str:
    return f" in {_Places(done.scopes)}" if step.is_workspace else ""


def _is_comparable(done: Completion, step: Step) -> bool:
    """Tell whether both checksums were made in the same way: `v1:`."""
    return done.checksum.partition(":")[0] == step.checksum.partition(":")[0]


def find_passed_over(steps: Mapping[str, Step], passed: Iterable[PassedOver]) -> Iterator[Finding]:
    """Tell of commands that were written after a mark had made them count as done."""
    for one in passed:
        step = steps[one.name]
        places = _Places(one.workspaces)
        mark = "enrolled" if one.workspaces else "marked by a baseline"
        yield finding_about(
            step,
            BELOW_BASELINE,
            f"{step.class_name} will never run in {places}: {'they were' if one.workspaces > 1 else 'it was'} "
            f"{mark} at {step.version} or above on {one.marked_at:%Y-%m-%d}, before this command was written",
            "give it a later version, in the decorator and in the folder's name",
        )


def written_steps(steps: Iterable[Step]) -> tuple[WrittenStep, ...]:
    """Give steps as the look at marks takes them."""
    return tuple(
        WrittenStep(step.name, step.is_workspace, step.version, moment_of(step.timestamp)) for step in steps
    )


def find_gone(names: Iterable[str]) -> Iterator[Finding]:
    """Tell of completed commands that the code no longer has; they are at no place."""
    for name in names:
        yield Finding(
            rule=COMPLETED_COMMAND_GONE.name,
            message=f"{name} is completed in the database and no longer in the code",
            remedy="bring it back under the name that it ran with (version, class name and timestamp); old commands "
            "may be removed a whole version at a time, from the lowest up",
            severity=COMPLETED_COMMAND_GONE.severity,
            step=name,
        )


def find_missing_commands(missing: Iterable[MissingStep]) -> Iterator[Finding]:
    """Tell of commands that were added below what has run already."""
    for one in missing:
        step = one.step
        where = f" in {_Places(len(one.workspace_ids))}" if step.is_workspace else ""
        yield finding_about(
            step,
            MISSING_STEP,
            f"{step.class_name} was never tried{where}, though later ones are done",
            "give it a newer timestamp or version; or let it run at its place with `upgrader upgrade "
            '--include-missing`, or missing = "run" for good',
        )


def find_added_to_released(
    steps: Iterable[Step], state: DatabaseState, *, released: ReleaseVersion
) -> Iterator[Finding]:
    """Tell of commands of a release that is out, which this database had behind it before they were there."""
    for step in steps:
        if step.version > released:
            continue
        scopes = [member.progress for member in state.members] if step.is_workspace else [state.instance]
        late = sum(_was_added(step, progress) for progress in scopes)
        if late:
            yield finding_about(
                step,
                RELEASED_VERSION_CHANGED,
                f"{step.class_name} was added to {step.version}, which {_Places(late if step.is_workspace else 0)} "
                f"had finished; {released} is out",
                f"give it a version above {released}, in the decorator and in the folder's name",
            )


def _was_added(step: Step, progress: Progress) -> bool:
    """Tell whether nothing of the step's version was left, and now something is."""
    is_past = progress.through is not None and progress.through >= step.version
    return is_past and not progress.is_done(step) and not progress.was_tried(step)
