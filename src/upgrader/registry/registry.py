"""The registry: every command that was found, checked, in order. Immutable."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from upgrader.errors import LoadingError, OperatorError, Problem
from upgrader.registry.bundle import LoadedCommand, VersionBundle
from upgrader.registry.collisions import collisions_of
from upgrader.sequence.sequence import StepSequence

if TYPE_CHECKING:
    from upgrader.model import Step
    from upgrader.version import ReleaseVersion


@dataclass(frozen=True)
class Registry:
    """All commands by version, ascending, dormant ones too. `merge` makes one."""

    bundles: tuple[VersionBundle, ...] = ()

    @cached_property
    def sequence(self) -> StepSequence:
        """All steps in order, dormant ones too."""
        return StepSequence.of(command.step for bundle in self.bundles for command in bundle.commands)

    @property
    def is_empty(self) -> bool:
        """Whether there is no command at all."""
        return not self.bundles

    @property
    def highest_version(self) -> ReleaseVersion | None:
        """The highest version that has a command; None without commands."""
        return self.bundles[-1].version if self.bundles else None

    def command_class(self, name: str) -> type[Any]:
        """Give the class of the step with this full name.

        Raises:
            KeyError: there is none.
        """
        return self._classes[name]

    def create(self, name: str) -> object:
        """Make a fresh instance of the command with this full name; each attempt gets one of its own.

        Raises:
            KeyError: there is none. Whatever the author's `__init__` raises passes through.
        """
        instance: object = self._classes[name]()
        return instance

    def by_cli_name(self, name: str) -> Step:
        """Find a workspace command by its name on the command line.

        Raises:
            OperatorError: there is none of that name; the hint names those that are like it.
        """
        if name in self._by_cli_name:
            return self._by_cli_name[name]
        raise OperatorError(f"there is no workspace command named {name!r}", hint=self._near(name))

    @cached_property
    def _classes(self) -> Mapping[str, type[Any]]:
        commands = (command for bundle in self.bundles for command in bundle.commands)
        return MappingProxyType({command.step.name: command.command_class for command in commands})

    @cached_property
    def _by_cli_name(self) -> Mapping[str, Step]:
        return MappingProxyType({step.cli_name: step for step in self.sequence if step.cli_name})

    def _near(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._by_cli_name, n=3, cutoff=0.5)
        if near:
            return f"did you mean {' or '.join(near)}?"
        return (
            "`upgrader list` shows every command" if self._by_cli_name else "no workspace command is loaded"
        )


def merge(commands: Iterable[LoadedCommand], problems: Iterable[Problem] = ()) -> Registry:
    """Put valid commands together; pure.

    Args:
        problems: what was found wrong on the way here; it is reported together with the collisions.

    Raises:
        LoadingError: there is any problem or collision; it carries all of them.
    """
    ordered = sorted(commands, key=lambda command: command.step.sort_key)
    found = (*problems, *collisions_of([command.step for command in ordered]))
    if found:
        raise LoadingError(found)
    by_version = groupby(ordered, key=lambda command: command.step.version)
    return Registry(tuple(VersionBundle.of(version, group) for version, group in by_version))
