"""The sequence: every command of every version, in the one order in which they run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from upgrader.model import Progress, Step
    from upgrader.version import ApplicationVersion, ReleaseVersion


@dataclass(frozen=True)
class VersionSteps:
    """The steps of one version, by kind, each in order."""

    version: ReleaseVersion
    instance: tuple[Step, ...]
    workspace: tuple[Step, ...]


@dataclass(frozen=True)
class StepSequence:
    """Steps in order: versions ascending; within a version fast, slow, workspace; by timestamp in each."""

    steps: tuple[Step, ...]

    @classmethod
    def of(cls, steps: Iterable[Step]) -> StepSequence:
        """Put steps in order."""
        return cls(tuple(sorted(steps, key=lambda step: step.sort_key)))

    def up_to(self, version: ReleaseVersion) -> StepSequence:
        """Give the part at or below `version`."""
        return StepSequence(tuple(step for step in self.steps if step.version <= version))

    def covered_by(self, application: ApplicationVersion) -> StepSequence:
        """Give the part that is due with `application`; the rest is dormant."""
        return StepSequence(tuple(step for step in self.steps if application.covers(step.version)))

    def released(self, instance: Progress) -> StepSequence:
        """Give the sequence as it stands with the instance's progress.

        A workspace step with `after_slow` counts as slow only while a slow step of its version is pending.
        """
        waiting = {step.version for step in self.steps if step.is_slow and not instance.is_done(step)}
        return StepSequence(
            tuple(
                replace(step, after_slow=False) if step.after_slow and step.version not in waiting else step
                for step in self.steps
            )
        )

    @cached_property
    def versions(self) -> tuple[VersionSteps, ...]:
        """The steps by version, ascending."""
        return tuple(
            _split(version, tuple(steps))
            for version, steps in groupby(self.steps, key=lambda step: step.version)
        )

    @cached_property
    def by_name(self) -> dict[str, Step]:
        """Each step by its full name."""
        return {step.name: step for step in self.steps}

    @property
    def lowest(self) -> ReleaseVersion | None:
        """The lowest version; None without steps."""
        return self.steps[0].version if self.steps else None

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)


def _split(version: ReleaseVersion, steps: tuple[Step, ...]) -> VersionSteps:
    return VersionSteps(
        version,
        instance=tuple(step for step in steps if not step.is_workspace),
        workspace=tuple(step for step in steps if step.is_workspace),
    )
