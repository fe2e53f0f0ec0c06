"""Where a new command goes, which release it belongs to, and whether that one is out already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.errors import OperatorError

if TYPE_CHECKING:
    from upgrader.settings import Settings
    from upgrader.version import ReleaseVersion


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
