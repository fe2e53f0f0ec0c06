"""One command at its place in the sequence."""

from __future__ import annotations

from dataclasses import dataclass

from upgrader.command import CommandKind
from upgrader.model.timeouts import NO_OVERRIDES, StepTimeouts
from upgrader.version import ReleaseVersion


@dataclass(frozen=True, slots=True)
class Step:
    """What the planner and the runner need to know of a command; the class itself stays in the registry.

    Attributes:
        name: the full name, `{version}_{ClassName}_{timestamp}`.
        cli_name: the name of a workspace command on the command line (`workspace run NAME`), else None.
        transactional: False runs it in autocommit.
        after_slow: a workspace step that waits for the slow steps of its version.
        has_data_migration: whether `run_data_migration` comes before its transaction.
        reversible: whether there is a way down: a method for it that does more than to say that there is none.
        irreversible_reason: what that method says; "" where there is none, or it says nothing.
        checksum: `v1:` and the SHA-256 over the class's syntax tree.
        summary: the first line of the docstring, or "".
        place: `file:line` of the class.
        timeouts: what its decorator says of them; no part of the checksum.
    """

    name: str
    kind: CommandKind
    version: ReleaseVersion
    timestamp: int
    class_name: str
    cli_name: str | None = None
    transactional: bool = True
    after_slow: bool = False
    has_data_migration: bool = False
    reversible: bool = False
    irreversible_reason: str = ""
    checksum: str = ""
    summary: str = ""
    place: str = ""
    timeouts: StepTimeouts = NO_OVERRIDES

    @property
    def is_workspace(self) -> bool:
        """Whether it runs once in every workspace."""
        return self.kind is CommandKind.WORKSPACE

    @property
    def is_slow(self) -> bool:
        """Whether it is a slow instance step."""
        return self.kind is CommandKind.SLOW

    @property
    def sort_key(self) -> tuple[ReleaseVersion, int, int]:
        """The order of the sequence: version, then kind, then timestamp."""
        return (self.version, self.kind.rank, self.timestamp)
