"""How far a scope is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
        through: the highest version of which, and of all before it, nothing is left, as recorded.
    """

    enrolment: Enrolment | None = None
    completed: frozenset[str] = frozenset()
    open: Mapping[str, AttemptStatus] = field(default_factory=dict)
    through: ReleaseVersion | None = None

    def is_done(self, step: Step) -> bool:
        """Tell whether `step` counts as done in this scope.

        A reverted step is pending again, even at or below an enrolment.
        """
        if step.name in self.completed:
            return True
        if self.open.get(step.name) is AttemptStatus.REVERTED:
            return False
        return self.enrolment is not None and self.enrolment.covers(step.version)

    def was_tried(self, step: Step) -> bool:
        """Tell whether there is any attempt at `step` in this scope."""
        return step.name in self.completed or step.name in self.open

    def has_failed(self, step: Step) -> bool:
        """Tell whether the latest attempt at `step` failed or was cut off."""
        return self.open.get(step.name) in (AttemptStatus.FAILED, AttemptStatus.INTERRUPTED)

    @property
    def position(self) -> ReleaseVersion | None:
        """The highest version that is recorded as behind this scope; None at the very beginning."""
        marks = [self.through, self.enrolment.version if self.enrolment else None]
        return max((mark for mark in marks if mark is not None), default=None)
