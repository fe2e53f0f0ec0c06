"""A new project: its configuration and its directory of commands."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from upgrader.errors import OperatorError
from upgrader.registry.place import place_of

CONFIGURATION = """\
# Settings of Upgrader. Each may be given in the environment too, as UPGRADER_<KEY>, nested ones with __
# (UPGRADER_WORKSPACES__TABLE), and that wins. What is commented out shows the default, or an example.

# Anything that libpq takes. Better in the environment, as UPGRADER_DATABASE_URL or DATABASE_URL.
# "embedded:.upgrader/pgdata" is a PostgreSQL server of its own, to try things out.
# database_url = "postgresql://app@localhost/app"

# Directories, relative to this file, and importable packages.
commands = ["commands"]

# The version of the running application: commands of later versions wait. Without it all of them run.
# app_version = "1.0.0"

# Databases below this version are refused.
# oldest_supported = "1.0.0"

# The database schema that holds the history.
# schema = "upgrader"

# What becomes of a command that was added below what has run already: "refuse" or "run".
# missing = "refuse"

# What becomes of an active workspace that was never enrolled: "refuse" or "apply-all".
# unenrolled_workspaces = "refuse"

# The newest release that is out, and when it came out: `upgrader check` refuses what is added to it afterwards.
# released_version = "1.0.0"
# released_at = 2026-01-31

# Where the workspaces are listed. Without workspaces there is nothing to set here.
# [workspaces]
# table = "core.workspace"
# id_column = "id"
# status_column = "activation_status"
# statuses = ["ACTIVE", "SUSPENDED"]
# schema_column = "database_schema"
# name_column = "display_name"
# search_path_extra = ["public"]
# provider = "myapp.tenancy:list_workspaces"   # a function, instead of a table

# What `upgrader check` looks at, and what it finds in a scratch database before the first command.
# [check]
# ignore = []
# prepare = "myapp.testing:make_release_1_0"
# base_version = "1.0.0"
"""

README = """\
# Upgrade commands

One folder for each release, one file for each command: `v1_22_0/1775758621017_add_workspace_id.py`.

    upgrader generate --name add-workspace-id --type fast --version 1.22.0
    upgrader plan
    upgrader upgrade

Files and folders that begin with `_` are not commands; keep in them what several commands share.
"""


@dataclass(frozen=True, slots=True)
class ProjectFiles:
    """What `init_project` did.

    Attributes:
        written: the files that were made.
        left_alone: what was there already and was not touched.
    """

    written: tuple[Path, ...]
    left_alone: tuple[Path, ...]


def init_project(directory: Path) -> ProjectFiles:
    """Write `upgrader.toml` and `commands/README.md`, never over anything that is there.

    No `upgrader.toml` is written beside a `pyproject.toml` with `[tool.upgrader]`, because two
    configurations are an error; nothing is put into a `commands` that is there.

    Raises:
        OperatorError: `pyproject.toml` cannot be read, or a file cannot be written.
    """
    configuration, commands = directory / "upgrader.toml", directory / "commands"
    configured = _existing(configuration) or _configured_in(directory / "pyproject.toml")
    wanted = (
        (configuration, CONFIGURATION, configured),
        (commands / "README.md", README, _existing(commands)),
    )
    return ProjectFiles(
        written=tuple(_write(path, text) for path, text, obstacle in wanted if obstacle is None),
        left_alone=tuple(obstacle for _, _, obstacle in wanted if obstacle is not None),
    )


def _existing(path: Path) -> Path | None:
    # a link that leads nowhere is there too, and is not to be written through
    return path if path.exists() or path.is_symlink() else None


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        message = f"{place_of(error.filename or path)} cannot be written: {error.strerror or error}"
        raise OperatorError(message, hint="mend its permissions, or work in another directory") from error
    return path


def _configured_in(pyproject: Path) -> Path | None:
    """Give the path of a `pyproject.toml` that holds the settings already."""
    try:
        content = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        message = f"{place_of(pyproject)} cannot be read: {error}"
        raise OperatorError(message, hint="mend it first: it may hold the settings already") from error
    tool = content.get("tool")
    return pyproject if isinstance(tool, dict) and "upgrader" in tool else None
