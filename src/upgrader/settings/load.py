"""Settings from flags, environment and file: put together, checked, and made independent of where they stood.

Flags win over the environment, the environment over the file, the file over the defaults, key by key.
`DATABASE_URL` belongs to the environment: it wins over the file, and `UPGRADER_DATABASE_URL` wins over it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from upgrader.errors import SettingsError
from upgrader.redaction import Redactor
from upgrader.settings.config_file import ConfigFile, find_config_file, given_in, read_config_file
from upgrader.settings.database_url import EMBEDDED_PREFIX, embedded_path, passwords_in
from upgrader.settings.environment import environment_secrets, environment_warnings, given_in_environment
from upgrader.settings.keys import Given, nested
from upgrader.settings.model import Settings
from upgrader.settings.problems import describe

_NOTHING_RAN = "nothing was run; correct what is named above"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """What the flags before the verb say. None or empty: not given."""

    database_url: str | None = None
    commands: tuple[str, ...] = ()
    app_version: str | None = None

    def given(self, directory: Path) -> list[Given]:
        """Give the flags as values for their keys."""
        flags: dict[str, object] = {"database_url": self.database_url, "app_version": self.app_version}
        flags["commands"] = list(self.commands) or None
        return [
            Given(key, value, f"from --{key.replace('_', '-')}", directory)
            for key, value in flags.items()
            if value is not None
        ]


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings, and how they were come by.

    Attributes:
        warnings: sentences for the operator.
        config_file: the file that was read; None if there is none.
        directory: the working directory.
    """

    settings: Settings
    warnings: tuple[str, ...]
    config_file: Path | None
    directory: Path


def load_from_process(
    overrides: CommandLine | None = None, *, config_file: Path | None = None
) -> LoadedSettings:
    """Load the settings of this process: its environment, its working directory. Nothing else reads those.

    Raises:
        SettingsError: as `load_settings`; or the working directory is gone.
    """
    return load_settings(
        directory=working_directory(), environment=os.environ, overrides=overrides, config_file=config_file
    )


def working_directory() -> Path:
    """Give the directory that the process is in.

    Raises:
        SettingsError: it is gone.
    """
    try:
        return Path.cwd()
    except OSError as error:
        raise SettingsError(
            "the working directory is gone", hint="change into a directory that is there"
        ) from error


def load_settings(
    *,
    directory: Path,
    environment: Mapping[str, str],
    overrides: CommandLine | None = None,
    config_file: Path | None = None,
) -> LoadedSettings:
    """Load the settings from what is handed in; reads one file at most and touches no database.

    Args:
        directory: where `upgrader.toml` or `pyproject.toml` is looked for.
        environment: the variables.
        overrides: the flags.
        config_file: read this one and look for no other; relative to `directory`.

    Raises:
        SettingsError: something is wrong; all of it in one message, without secrets.
    """
    file = find_config_file(directory) if config_file is None else read_config_file(config_file, directory)
    in_file, problems = _file_values(file)
    all_given = [
        *in_file,
        *given_in_environment(environment, directory),
        *(overrides or CommandLine()).given(directory),
    ]
    secrets = _secrets(all_given, environment)
    settings = _checked({given.key: given for given in all_given}, problems, secrets, directory)
    return LoadedSettings(
        settings.with_secrets(*secrets),
        tuple(environment_warnings(environment)),
        None if file is None else file.path,
        directory,
    )


def require_database_url(settings: Settings) -> str:
    """Give the database URL.

    Raises:
        SettingsError: there is none; the hint shows how to give one.
    """
    if settings.database_url is not None:
        return settings.database_url
    raise SettingsError(
        "no database is given",
        hint="on the command line: upgrader --database-url postgresql://user@host/database upgrade\n"
        "in the environment: UPGRADER_DATABASE_URL=postgresql://user@host/database\n"
        'in upgrader.toml: database_url = "postgresql://user@host/database"\n'
        "embedded:.upgrader/pgdata in place of the URL is a PostgreSQL server of its own in that directory",
    )


def _file_values(file: ConfigFile | None) -> tuple[list[Given], list[str]]:
    return ([], []) if file is None else given_in(file)


def _secrets(all_given: Sequence[Given], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Give the passwords of every URL that was given, also of those that another one overrides."""
    urls = [given.value for given in all_given if given.key in ("database_url", "worker.queue_database_url")]
    found = [password for url in urls if isinstance(url, str) for password in passwords_in(url)]
    single = [given.value for given in all_given if given.key == "worker.queue_password"]
    return (*found, *(value for value in single if isinstance(value, str)), *environment_secrets(environment))


def _checked(
    given: Mapping[str, Given], problems: list[str], secrets: Sequence[str], directory: Path
) -> Settings:
    redactor = Redactor().with_secrets(*secrets)
    try:
        settings = Settings.model_validate(nested({key: value.value for key, value in given.items()}))
    except ValidationError as error:
        problems = [*problems, *describe(error, given, redactor)]
    if problems:
        listed = problems[0] if len(problems) == 1 else _listed(problems)
        raise SettingsError(redactor.redact(listed), hint=_NOTHING_RAN)
    return _resolved(settings, given, directory)


def _listed(problems: Sequence[str]) -> str:
    return "\n".join([f"{len(problems)} problems in the settings", *(f"  {problem}" for problem in problems)])


def _resolved(settings: Settings, given: Mapping[str, Given], directory: Path) -> Settings:
    """Make relative paths absolute, each from where it was given."""
    changes: dict[str, object] = {}
    if "commands" in given:
        base = given["commands"].base
        changes["commands"] = tuple(_location(entry, base) for entry in settings.commands)
    else:
        changes["commands"] = tuple(directory / entry for entry in settings.commands)
    url = settings.database_url
    if url is not None and url.startswith(EMBEDDED_PREFIX):
        base = given["database_url"].base
        changes["database_url"] = f"{EMBEDDED_PREFIX}{_absolute(base / embedded_path(url))}"
    if settings.worker.modules:
        base = given["worker.modules"].base
        modules = tuple(_location(entry, base) for entry in settings.worker.modules)
        changes["worker"] = settings.worker.model_copy(update={"modules": modules})
    if settings.check.base_schema is not None:
        path = _absolute(given["check.base_schema"].base / settings.check.base_schema)
        changes["check"] = settings.check.model_copy(update={"base_schema": path})
    return settings.model_copy(update=changes)


def _location(entry: str | Path, base: Path) -> str | Path:
    """Tell a directory from a package: a package is a dotted name that is no directory here."""
    path = _absolute(base / entry)
    is_name = isinstance(entry, str) and all(part.isidentifier() for part in entry.split("."))
    return str(entry) if is_name and not path.is_dir() else path


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links, absolute() keeps ..
