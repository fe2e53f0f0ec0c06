"""Drafts become files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.generate.autogenerate.command_text import command_text
from upgrader.generate.autogenerate.draft import Draft, names_of
from upgrader.generate.slug import Slug
from upgrader.generate.writing import NewCommand, write_commands

if TYPE_CHECKING:
    from upgrader.version import ReleaseVersion


def write_drafts(
    drafts: Sequence[Draft], *, name: str, version: ReleaseVersion, directory: Path
) -> tuple[Path, ...]:
    """Write drafts as command files, in their order; all of them or none.

    Raises:
        OperatorError: a command of such a name is there already, or a file cannot be written.
    """
    commands = [
        _command(draft, one, version) for draft, one in zip(drafts, names_of(drafts, name), strict=True)
    ]
    return write_commands(commands, version=version, directory=directory)


def _command(draft: Draft, name: str, version: ReleaseVersion) -> NewCommand:
    slug = Slug.of(name)
    return NewCommand(slug, draft.kind, partial(_text, draft, slug, version))


def _text(draft: Draft, slug: Slug, version: ReleaseVersion, timestamp: int) -> str:
    return command_text(
        draft,
        version=version.text,
        timestamp=timestamp,
        class_name=slug.class_name,
        sentence=slug.sentence,
    )
