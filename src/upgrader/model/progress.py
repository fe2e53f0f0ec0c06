"""How far a scope is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from upgrader.errors import InvalidVersionError
from upgrader.model.attempt import AttemptStatus, Enrolment
from upgrader.model.step import Step
from upgrader.version import ReleaseVersion


@dataclass(frozen=True, eq=False)
class Progress:
    """What a scope has behind it. Scopes in the same state share one instance, so it is compared by identity.

    Attributes:
        enrolment: None where the scope was never enrolled.
        completed: names of the steps whose latest attempt is completed.
        open: names of the steps that were tried and are not completed, with the latest attempt's status.
        half_reverted: those of `open` whose latest attempt was to take them back, and did not come to its end.
        tried_again: those of `open` that were taken back, wholly or in part, and tried again since in vain.
        through: the highest version of which, and of all before it, nothing is left, as recorded.
        life: tells the lives of a workspace's id apart, 0 being the first; None where it is not enrolled.
    """

    enrolment: Enrolment | None = None
    completed: frozenset[str] = frozenset()
    open: Mapping[str, AttemptStatus] = field(default_factory=dict)
    half_reverted: frozenset[str] = frozenset()
    tried_again: frozenset[str] = frozenset()
    through: ReleaseVersion | None = None
    life: int | None = None

    def is_done(self, step: Step) -> bool:
        """Tell whether `step` counts as done in this scope.

        A step that was taken back, wholly or in part, is pending until it is completed again, even at or
        below an enrolment.
        """
        if step.name in self.completed:
            return True
        if step.name in self.taken_back:
            return False
        return self.enrolment is not None and self.enrolment.covers(step.version)

    def was_tried(self, step: Step) -> bool:
        """Tell whether there is any attempt at `step` in this scope."""
        return step.name in self.completed or step.name in self.open

    def has_failed(self, step: Step) -> bool:
        """Tell whether the latest attempt at `step` failed or was cut off."""
        return self.open.get(step.name) in (AttemptStatus.FAILED, AttemptStatus.INTERRUPTED)

    def is_skipped(self, step: Step) -> bool:
        """Tell whether the latest attempt at `step` was skipped by the command itself."""
        return self.open.get(step.name) is AttemptStatus.SKIPPED

    @property
    def position(self) -> ReleaseVersion | None:
        """The highest version that is recorded as behind this scope; None at the very beginning.

        An enrolment does not count any more where a step at or below it was taken back.
        """
        enrolled = self.enrolment.version if self.enrolment else None
        lowest = self.lowest_taken_back
        if enrolled is not None and lowest is not None and lowest <= enrolled:
            enrolled = None
        return max((mark for mark in (self.through, enrolled) if mark is not None), default=None)

    @cached_property
    def taken_back(self) -> frozenset[str]:
        """The steps that were taken back, wholly or in part, and are not completed again."""
        reverted = (name for name, status in self.open.items() if status is AttemptStatus.REVERTED)
        return self.half_reverted.union(self.tried_again, reverted)

    @cached_property
    def lowest_taken_back(self) -> ReleaseVersion | None:
        """The lowest version of which a step was taken back, wholly or in part; None where none was."""
        versions = map(_version_of, self.taken_back)
        return min((version for version in versions if version is not None), default=None)


def _version_of(name: str) -> ReleaseVersion | None:
    try:
        return ReleaseVersion.parse(name.partition("_")[0])
    except InvalidVersionError:
        return None
