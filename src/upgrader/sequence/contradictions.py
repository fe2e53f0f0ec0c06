"""What history has against a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.model import AttemptStatus
from upgrader.sequence.completed import version_of
from upgrader.sequence.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from upgrader.model import Progress
    from upgrader.version import ReleaseVersion


def contradictions(version: ReleaseVersion, progress: Progress) -> str | None:
    """Say what speaks against a scope being at `version` and no further; None where nothing does.

    What failed or was skipped at or below `version` does not: that it is done, whatever history says, is what
    a baseline is for. What was taken back is pending, whatever a baseline says.
    """
    return "; ".join(_contradictions(version, progress)) or None


def _contradictions(version: ReleaseVersion, progress: Progress) -> Iterator[str]:
    mark = progress.enrolment
    if mark is not None and mark.version is not None and mark.version > version:
        yield f"marked at {mark.version}"
    above = _of_versions(progress.completed, lambda own: own > version)
    if above:
        yield f"completed {_named(above)}"
    tried = _of_versions(progress.open, lambda own: own > version)
    tried = [name for name in tried if progress.open[name] is not AttemptStatus.REVERTED]
    if tried:
        yield f"tried {_named(tried)} ({progress.open[tried[-1]].value})"
    back = _of_versions(progress.taken_back, lambda own: own <= version)
    if back:
        yield f"took {_named(back)} back"


def _of_versions(names: Iterable[str], wanted: Callable[[ReleaseVersion], bool]) -> list[str]:
    """Give the names of such versions, ascending."""
    read = ((version_of(name), name) for name in names)
    return [name for _, name in sorted((own, name) for own, name in read if own and wanted(own))]


def _named(names: list[str]) -> str:
    more = len(names) - 1
    return names[-1] + (f" and {counted(more, 'step')} before it" if more else "")
