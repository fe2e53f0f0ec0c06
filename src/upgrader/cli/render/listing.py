"""All commands, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Block, Line
from upgrader.cli.render.wording import kind_of

if TYPE_CHECKING:
    from upgrader.model import Step
    from upgrader.version import ApplicationVersion


def list_blocks(steps: Iterable[Step], application: ApplicationVersion) -> Iterator[Block]:
    """Give each command by version and kind, with its marks and its place."""
    versions = groupby(steps, key=lambda step: step.version)
    for number, (version, of_version) in enumerate(versions):
        if number:
            yield Line()
        is_dormant = not application.covers(version)
        mark = f"  dormant: the application is {application.text}" if is_dormant else ""
        yield Line(f"{version.text}{mark}", style="dim" if is_dormant else "bold")
        for kind, of_kind in groupby(of_version, key=lambda step: step.kind):
            yield Line(kind_of(kind.value), indent=2)
            for step in of_kind:
                yield from _command(step, is_dormant=is_dormant)


def _command(step: Step, *, is_dormant: bool) -> Iterator[Block]:
    marks = [
        "dormant" if is_dormant else "",
        "" if step.reversible else "irreversible",
        "" if step.transactional else "not transactional",
        "after slow" if step.after_slow else "",
        f"name: {step.cli_name}" if step.cli_name else "",
    ]
    shown = ", ".join(mark for mark in marks if mark)
    yield Line(f"{step.timestamp} {step.class_name}{f' ({shown})' if shown else ''}", indent=4)
    if step.irreversible_reason:
        yield Line(f"irreversible: {step.irreversible_reason}", indent=6, style="dim")
    yield Line(step.place, indent=6, style="dim", verbatim=True)
