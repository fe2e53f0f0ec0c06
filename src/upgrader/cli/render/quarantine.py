"""Workspaces that are set aside, for people and as JSON: the same words in every report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Block, Line
from upgrader.cli.render.documents import Document, envelope, quarantined_fields
from upgrader.cli.render.wording import age, counted

if TYPE_CHECKING:
    from upgrader.runner.setting_aside import SettingAside
    from upgrader.sequence.plan import QuarantinedWorkspace

_NAMED_AT_MOST = 20


def quarantined_blocks(found: Sequence[QuarantinedWorkspace]) -> Iterator[Block]:
    """Name the workspaces that are set aside: since when, what each misses, why. Nothing for none."""
    if not found:
        return
    yield Line(f"{counted(len(found), 'workspace')} quarantined, left alone:", style="warning")
    for one in found[:_NAMED_AT_MOST]:
        yield Line(f"{one.workspace_id}: {quarantine_text(one)}", indent=2)
    if len(found) > _NAMED_AT_MOST:
        rest = len(found) - _NAMED_AT_MOST
        yield Line(f"and {rest:,} more: `upgrader workspace list` shows them", indent=2)


def quarantine_text(one: QuarantinedWorkspace) -> str:
    """Say since when a workspace is set aside, what it misses, and why."""
    misses = f"misses {one.misses}" if one.misses else "misses nothing yet"
    return f"for {age(one.quarantine.age_seconds)}, {misses}: {one.quarantine.reason}"


def set_aside_blocks(done: SettingAside) -> Iterator[Block]:
    """Say what `workspace quarantine` did."""
    for one in done.changed:
        misses = (
            f"the first version that it misses is {one.misses}" if one.misses else "it misses nothing yet"
        )
        yield Line(f"{one.workspace_id} is quarantined; {misses}")
    for one in done.unchanged:
        yield Line(f"{one.workspace_id} was quarantined already, {quarantine_text(one)}")


def released_blocks(done: SettingAside) -> Iterator[Block]:
    """Say what `workspace release` did."""
    for one in done.changed:
        after = f"it catches up from {one.misses}" if one.misses else "it has nothing to catch up"
        yield Line(f"{one.workspace_id} is released; {after}")


def setting_aside_document(done: SettingAside, exit_code: int) -> Document:
    """Give what `workspace quarantine` and `workspace release` did."""
    return {
        **envelope("done", exit_code),
        "changed": quarantined_fields(done.changed),
        "unchanged": quarantined_fields(done.unchanged),
    }
