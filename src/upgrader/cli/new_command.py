"""A new command: where it goes, which release it belongs to, whether that one is out already, what is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from upgrader.errors import OperatorError

if TYPE_CHECKING:
    from upgrader.cli.invocation import Invocation
    from upgrader.settings import Settings
    from upgrader.version import ReleaseVersion


@dataclass(frozen=True, slots=True)
class NewCommandRequest:
    """The flags of `generate`."""

    name: str
    type: Literal["fast", "slow", "workspace"]
    version: str | None
    transactional: bool
    autogenerate: bool
    workspace_schema: str | None


def write_new_commands(request: NewCommandRequest, invocation: Invocation) -> None:
    """Write what was asked for, and show the paths.

    Raises:
        OperatorError: the flags do not go together, or nothing can be written.
    """
    from upgrader.cli.render.blocks import Line
    from upgrader.generate import scaffold_command
    from upgrader.generate.slug import Slug
    from upgrader.registry.place import place_of

    _check_flags(request)
    Slug.of(request.name)
    directory = command_directory(invocation.settings)
    release = release_of(request.version, invocation.settings)
    warnings = list(
        released_warnings(release, invocation.settings, directory, is_slow=request.type == "slow")
    )
    paths: Sequence[Path]
    if request.autogenerate:
        found = invocation.upgrader().autogenerate(
            name=request.name,
            version=release,
            directory=directory,
            workspace_schema=request.workspace_schema,
        )
        paths, warnings = found.paths, [*(warnings if found.paths else []), *found.warnings]
    else:
        path = scaffold_command(
            name=request.name,
            type=request.type,
            version=release,
            directory=directory,
            transactional=request.transactional,
        )
        paths = [path]
    for warning in warnings:
        invocation.output.warn(warning)
    if not paths:
        invocation.output.tell(
            Line("no difference: the database has what the models have, nothing is written")
        )
    for path in paths:
        invocation.output.show_exactly(place_of(path))


def _check_flags(request: NewCommandRequest) -> None:
    if request.workspace_schema is not None and not request.autogenerate:
        raise OperatorError(
            "--workspace-schema says what --autogenerate compares, which is not given",
            hint="add --autogenerate, or leave --workspace-schema out",
        )
    if not request.autogenerate:
        return
    if request.type == "slow":
        raise OperatorError(
            "--autogenerate parts fast and slow by itself: what needs a backfill becomes a slow command",
            hint="use --type fast, or --type workspace with --workspace-schema SCHEMA",
        )
    if request.type == "workspace" and request.workspace_schema is None:
        raise OperatorError(
            "--autogenerate --type workspace needs the schema of a workspace to compare with",
            hint="add --workspace-schema SCHEMA: `upgrader workspace list` shows the schemas",
        )
    if request.type == "fast" and request.workspace_schema is not None:
        raise OperatorError(
            "--workspace-schema compares a workspace's schema, which no instance command changes",
            hint="use --type workspace",
        )
    if not request.transactional:
        raise OperatorError(
            "--autogenerate decides by itself what runs outside a transaction",
            hint="leave --non-transactional out",
        )


def command_directory(settings: Settings) -> Path:
    """Give the directory that new commands are written to: the first of `commands`.

    Raises:
        OperatorError: only packages are configured, which are not written to.
    """
    for entry in settings.commands:
        if isinstance(entry, Path):
            return entry
    packages = ", ".join(str(entry) for entry in settings.commands)
    raise OperatorError(
        f"new commands are written to a directory, and `commands` names packages only: {packages}",
        hint="name the directory: upgrader --commands PATH generate …",
    )


def release_of(version: str | None, settings: Settings) -> ReleaseVersion:
    """Give the release that was asked for, or else the application's own.

    Raises:
        OperatorError: there is neither, or it is no release version.
    """
    from upgrader.version import ReleaseVersion

    if version is not None:
        return ReleaseVersion.parse(version)
    application = settings.application_version
    if application is not None:
        return ReleaseVersion.parse(".".join(str(part) for part in application.release))
    raise OperatorError(
        "no version is given, and the settings have no app_version",
        hint='give the release that the command belongs to, for example --version "1.22.0"',
    )


def released_warnings(
    version: ReleaseVersion, settings: Settings, directory: Path, *, is_slow: bool
) -> Iterator[str]:
    """Warn where databases may be past `version` already, which makes the new command a missing step."""
    from upgrader.generate.existing import written_commands

    refused = "databases that are past it refuse it as missing, unless --include-missing is given"
    missing = "databases that are past it run it late" if is_slow else refused
    application = settings.application_version
    if application is not None and version.release < application.release:
        yield f"{version} is released already, the application is {application}: {missing}"
        return
    highest = max((one.version for one in written_commands(directory) if one.version), default=None)
    covered = highest is not None and (application is None or application.covers(highest))
    if highest is not None and covered and version < highest:
        yield f"{version} comes before {highest}, which has commands already: {missing}"
