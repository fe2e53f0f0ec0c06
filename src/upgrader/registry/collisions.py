"""Commands that cannot live beside each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from upgrader.errors import Problem

if TYPE_CHECKING:
    from upgrader.model import Step


def collisions_of(steps: Sequence[Step]) -> Iterator[Problem]:
    """Tell every collision, each once, with all of its places.

    One timestamp in several kinds or versions is none.
    """
    for group in _groups(steps, lambda step: (step.version, step.kind, step.timestamp)):
        first = group[0]
        yield Problem(
            f"{first.version} has {len(group)} {first.kind} commands with the timestamp {first.timestamp}: "
            + _listed(step.class_name for step in group),
            _places(group),
            "give each its own timestamp, in the decorator and in the file's name",
            is_collision=True,
        )
    for group in _groups(steps, lambda step: (step.version, step.class_name.casefold())):
        yield Problem(_name_message(group), _places(group), "give each class its own name", is_collision=True)
    for group in _groups(steps, lambda step: step.cli_name):
        yield Problem(
            f"{len(group)} workspace commands have the command-line name {group[0].cli_name}: "
            + _listed(step.name for step in group),
            _places(group),
            'give one of them another with name="…"',
            is_collision=True,
        )


def _groups(steps: Sequence[Step], key: Callable[[Step], Hashable]) -> Iterator[list[Step]]:
    groups: defaultdict[Hashable, list[Step]] = defaultdict(list)
    for step in steps:
        groups[key(step)].append(step)
    groups.pop(None, None)  # no name on the command line
    return (group for group in groups.values() if len(group) > 1)


def _name_message(group: Sequence[Step]) -> str:
    names = {step.class_name for step in group}
    if len(names) == 1:
        return f"{group[0].version} has {len(group)} commands named {group[0].class_name}"
    return f"{group[0].version} has command names that differ only in case: {_listed(sorted(names))}"


def _places(group: Sequence[Step]) -> tuple[str, ...]:
    return tuple(step.place for step in group)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
