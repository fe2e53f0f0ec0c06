"""What the history says was completed, whether the code still has it or not."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from upgrader.errors import InvalidVersionError
from upgrader.version import ReleaseVersion

if TYPE_CHECKING:
    from upgrader.model import Progress
    from upgrader.sequence.state import DatabaseState

_FULL_NAME = re.compile(r"(?P<version>[^_]+)_.+_\d+")


def version_of(name: str) -> ReleaseVersion | None:
    """Read the version that a full name begins with; None where it is not of that form."""
    match = _FULL_NAME.fullmatch(name)
    if match is None:
        return None
    try:
        return ReleaseVersion.parse(match["version"])
    except InvalidVersionError:
        return None


class CompletedNames:
    """The completed names of all scopes, in scope or not, with their versions.

    Attributes:
        versions: the version of each name, ascending by version and name.
        unreadable: names that carry no version, sorted.
    """

    def __init__(self, state: DatabaseState) -> None:
        in_scope = [state.instance, *(member.progress for member in state.members)]
        outside = (member.progress for member in (*state.others, *state.quarantined))
        everywhere = [*in_scope, *outside]
        self._distinct = {id(progress): progress for progress in everywhere}
        self._holders = Counter(map(id, in_scope))
        names = set[str]().union(*(progress.completed for progress in self._distinct.values()))
        read = {name: version_of(name) for name in names}
        pairs = [(version, name) for name, version in read.items() if version is not None]
        self.versions = {name: version for version, name in sorted(pairs)}
        self.unreadable = tuple(sorted(name for name, version in read.items() if version is None))
        self._descending = tuple(reversed(self.versions.items()))
        self._highest = {key: self._find_highest(progress) for key, progress in self._distinct.items()}
        self._leaders = self._find_leaders()

    @property
    def progresses(self) -> tuple[Progress, ...]:
        """Every progress of any scope, once."""
        return tuple(self._distinct.values())

    @property
    def highest(self) -> ReleaseVersion | None:
        """The highest version of which anything is completed in any scope."""
        return self._descending[0][1] if self._descending else None

    def highest_in_scope(self, *, up_to: ReleaseVersion) -> ReleaseVersion | None:
        """Give the highest version at or below `up_to` that the instance or a member has begun."""
        known = [self._distinct[key].completed for key in self._holders]
        candidates = ((name, version) for name, version in self._descending if version <= up_to)
        return next((version for name, version in candidates if any(name in names for names in known)), None)

    def highest_of(self, progress: Progress) -> ReleaseVersion | None:
        """Give the highest version of which anything is completed in a scope of that progress."""
        return self._highest[id(progress)]

    def highest_elsewhere(self, progress: Progress) -> ReleaseVersion | None:
        """Give the highest version that the instance or another workspace in scope has begun."""
        own = id(progress)
        found = (version for version, key in self._leaders if key != own or self._holders[key] > 1)
        return next(found, None)

    def _find_highest(self, progress: Progress) -> ReleaseVersion | None:
        names = progress.completed
        if not names:
            return None
        return next((version for name, version in self._descending if name in names), None)

    def _find_leaders(self) -> list[tuple[ReleaseVersion, int]]:
        marks = ((self._highest[key], key) for key in self._holders)
        known = [(version, key) for version, key in marks if version is not None]
        return sorted(known, key=lambda mark: mark[0], reverse=True)[:2]
