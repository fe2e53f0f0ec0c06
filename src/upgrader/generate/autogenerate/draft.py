"""The commands that the changes become, in the order in which they have to run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from upgrader.command import CommandKind
from upgrader.generate.autogenerate.change import Change, Changes, IndexChange, RequiredColumn
from upgrader.generate.slug import LENGTH_LIMIT

Body = tuple[Change, ...] | IndexChange | tuple[RequiredColumn, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A command that is not yet written.

    Attributes:
        suffix: what its name says beside the one that the author gave; "" for the main one.
        sentence: its docstring; "" where the name is enough.
        drops: for an index, whether it goes.
    """

    suffix: str
    sentence: str
    kind: CommandKind
    body: Body
    drops: bool = False

    @property
    def transactional(self) -> bool:
        """Whether it runs in a transaction."""
        return not isinstance(self.body, IndexChange)


def drafts_of(changes: Changes, *, of_workspace: bool) -> tuple[Draft, ...]:
    """Part the changes into commands; none where there is no change."""
    fast = CommandKind.WORKSPACE if of_workspace else CommandKind.FAST
    slow = CommandKind.WORKSPACE if of_workspace else CommandKind.SLOW
    return tuple(_drafts(changes, fast, slow))


def _drafts(changes: Changes, fast: CommandKind, slow: CommandKind) -> Iterator[Draft]:
    if changes.labels:
        yield Draft("enum values", "Add values to enums.", fast, tuple(changes.labels))
    for index in changes.dropped_indexes:
        yield Draft(f"drop {index.name}", f"Drop the index {index.qualified}.", fast, index, drops=True)
    if changes.main:
        yield Draft("", "", fast, tuple(changes.main))
    for index in changes.new_indexes:
        yield Draft(f"build {index.name}", f"Build the index {index.qualified}.", fast, index)
    if changes.attached:
        yield Draft("constraints", "Let constraints take over their indexes.", fast, tuple(changes.attached))
    if changes.validated:
        sentence = "Check the rows that are there against the new constraints."
        yield Draft("validate", sentence, fast, tuple(changes.validated))
    if changes.required:
        told = ", ".join(f"{one.table}.{one.column}" for one in changes.required)
        yield Draft("not null", f"Make {told} NOT NULL.", slow, tuple(changes.required))


def names_of(drafts: Sequence[Draft], name: str) -> list[str]:
    """Give each draft a name: the author's own for the main one, or for the only one."""
    if len(drafts) == 1:
        return [name]
    found: list[str] = []
    for draft in drafts:
        plain = " ".join(re.findall(r"[A-Za-z0-9]+", draft.suffix))
        wanted = f"{name} {plain}".strip()[:LENGTH_LIMIT].rstrip()
        number = 2
        while wanted.casefold() in map(str.casefold, found):
            tail = f" {number}"
            wanted = f"{name} {plain}"[: LENGTH_LIMIT - len(tail)] + tail
            number += 1
        found.append(wanted)
    return found
