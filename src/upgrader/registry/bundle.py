"""All commands of one release version, by kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from upgrader.command import CommandKind

if TYPE_CHECKING:
    from upgrader.model import Step
    from upgrader.version import ReleaseVersion


@dataclass(frozen=True, slots=True)
class LoadedCommand:
    """A command that was found and is valid: what is known of it, and its class."""

    step: Step
    command_class: type[Any]


@dataclass(frozen=True, slots=True)
class VersionBundle:
    """The commands of one version: fast instance, slow instance and workspace, each by timestamp."""

    version: ReleaseVersion
    fast: tuple[LoadedCommand, ...] = ()
    slow: tuple[LoadedCommand, ...] = ()
    workspace: tuple[LoadedCommand, ...] = ()

    @classmethod
    def of(cls, version: ReleaseVersion, commands: Iterable[LoadedCommand]) -> VersionBundle:
        """Sort the commands of one version into their kinds."""
        ordered = sorted(commands, key=lambda command: command.step.sort_key)
        by_kind = {
            kind: tuple(command for command in ordered if command.step.kind is kind) for kind in CommandKind
        }
        return cls(
            version,
            fast=by_kind[CommandKind.FAST],
            slow=by_kind[CommandKind.SLOW],
            workspace=by_kind[CommandKind.WORKSPACE],
        )

    @property
    def commands(self) -> tuple[LoadedCommand, ...]:
        """All commands of the version in the order in which they run."""
        return (*self.fast, *self.slow, *self.workspace)
