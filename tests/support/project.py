"""A project that uses the product: a directory with settings and commands, its database, its command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.support.forked import ForkingProgram
from upgrader import Upgrader
from upgrader.events import EventSink, ignore_events
from upgrader.runner.stop import StopToken
from upgrader.settings import Settings

CLI_SECONDS = 120
PROGRAM = Path(sys.executable).with_name("upgrader")

_FORKING = ForkingProgram()
_HEADER = """\
from sqlalchemy import text

from upgrader import create_index_concurrently, drop_index_concurrently, instance_command, workspace_command


"""
# What a process needs from outside; anything else (PG*, UPGRADER_*, DATABASE_URL) would change what it does.
_INHERITED = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_START")

_WORKSPACE_TABLE = """
create schema if not exists core;
create table if not exists core.workspace (
    id text primary key,
    display_name text not null,
    activation_status text not null,
    database_schema text not null
);
"""


@dataclass
class Project:
    """A directory with `upgrader.toml` and `commands/`.

    Attributes:
        settings: what `upgrader.toml` holds; change it with `configure`.
        home: an empty home directory.
    """

    directory: Path
    home: Path
    database_url: str
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def create(cls, folder: Path, database_url: str) -> Project:
        """Make an empty project and an empty home below `folder`."""
        project = cls(folder / "project", folder / "home", database_url)
        for made in (project.directory, project.home, project.commands):
            made.mkdir()
        project.configure(database_url=database_url, commands=["commands"])
        return project

    @property
    def commands(self) -> Path:
        """The directory of the commands."""
        return self.directory / "commands"

    def configure(self, **settings: Any) -> None:
        """Change settings; None takes a key out. Groups are dicts: `workspaces={"table": "t"}`."""
        self.settings.update(settings)
        self.settings = {key: value for key, value in self.settings.items() if value is not None}
        (self.directory / "upgrader.toml").write_text(_toml(self.settings), encoding="utf-8")

    def write(self, path: str, text: str) -> Path:
        """Write a file below the project's directory, its text dedented."""
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        return file

    def fast(self, version: str, timestamp: int, name: str, up: str = "pass", **options: Any) -> Path:
        """Write a fast instance command.

        Args:
            up: the body of `up(self, connection)`; a text that is no Python but SQL is executed.
            options: more arguments of the decorator; `down=` is a body.
        """
        return self._instance(version, timestamp, name, up, options)

    def slow(
        self,
        version: str,
        timestamp: int,
        name: str,
        up: str = "pass",
        *,
        migrate: str = "pass",
        **options: Any,
    ) -> Path:
        """Write a slow instance command; `migrate` is the body of `run_data_migration(self, ctx)`."""
        return self._instance(version, timestamp, name, up, {"type": "slow", **options}, migrate=migrate)

    def workspace(self, version: str, timestamp: int, name: str, body: str = "pass", **options: Any) -> Path:
        """Write a workspace command.

        Args:
            body: of `run_on_workspace(self, ctx)`; SQL is executed on `ctx.connection`.
            options: more arguments of the decorator; `migrate=` and `down=` are bodies.
        """
        migrate, down = options.pop("migrate", None), options.pop("down", None)
        methods = [_method("run_on_workspace", "ctx", body, "ctx.connection")]
        if migrate is not None:
            methods.append(_method("run_data_migration", "ctx", migrate, "ctx.connection"))
        if down is not None:
            methods.append(_method("down_on_workspace", "ctx", down, "ctx.connection"))
        return self._command("workspace_command", version, timestamp, name, options, methods)

    def _instance(
        self,
        version: str,
        timestamp: int,
        name: str,
        up: str,
        options: dict[str, Any],
        *,
        migrate: str | None = None,
    ) -> Path:
        down = options.pop("down", None)
        methods = [_method("up", "connection", up, "connection")]
        if migrate is not None:
            methods.insert(0, _method("run_data_migration", "ctx", migrate, "ctx.connection"))
        if down is not None:
            methods.append(_method("down", "connection", down, "connection"))
        return self._command("instance_command", version, timestamp, name, options, methods)

    def _command(
        self,
        decorator: str,
        version: str,
        timestamp: int,
        name: str,
        options: dict[str, Any],
        methods: list[str],
    ) -> Path:
        arguments = "".join(f", {key}={value!r}" for key, value in options.items())
        slug = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        path = f"commands/v{version.replace('.', '_')}/{timestamp}_{slug}.py"
        head = f"@{decorator}({version!r}, {timestamp}{arguments})\nclass {name}:\n"
        return self.write(path, _HEADER + head + "\n".join(methods))

    def create_workspaces(self, *ids: str, status: str = "ACTIVE") -> None:
        """Make workspaces: rows of `core.workspace` (id as text), each with a schema `ws_<id>`."""
        with self.connect() as connection:
            connection.execute(_WORKSPACE_TABLE.encode())
            for id_ in ids:
                schema = f"ws_{id_}"
                connection.execute(f'create schema "{schema}"'.encode())
                connection.execute(
                    "insert into core.workspace values (%s, %s, %s, %s)", [id_, id_.title(), status, schema]
                )

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Give the variables of a process of this project: an empty home, nothing of the product's or libpq's."""
        given = {key: os.environ[key] for key in _INHERITED if key in os.environ}
        return {**given, "HOME": str(self.home), "LANG": "C.UTF-8", **(extra or {})}

    def run_cli(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        input: str | None = None,  # noqa: A002 - the name that subprocess.run gives it
        timeout: float = CLI_SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        """Run `upgrader` with these arguments in the project's directory, to its end.

        A process of its own, forked with the product imported; from nothing where a variable is for Python itself.
        """
        environment, given = self.environment(env), input if input is not None else ""
        of_python = {key for key in env or {} if key.startswith(("PYTHON", "LC_", "LANG", "COVERAGE"))}
        # One that only adds the project's own directory is the same for a process that has imported the product.
        if not of_python or (of_python == {"PYTHONPATH"} and (env or {})["PYTHONPATH"] == "."):
            return _FORKING.run(arguments, cwd=self.directory, env=environment, given=given, timeout=timeout)
        return subprocess.run(
            [str(PROGRAM), *arguments],
            cwd=self.directory,
            env=environment,
            input=given,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )

    def start_cli(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start `upgrader` and give the process, its output in pipes; the caller ends it."""
        return subprocess.Popen(
            [str(PROGRAM), *arguments],
            cwd=self.directory,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def api(
        self, *, emit: EventSink = ignore_events, stop: StopToken | None = None, **settings: Any
    ) -> Upgrader:
        """Give the product as an object, with the project's settings and these."""
        given = {"commands": (self.commands,), **self.settings, **settings}
        return Upgrader(
            Settings.model_validate({key: value for key, value in given.items() if value is not None}),
            base=self.directory,
            emit=emit,
            stop=stop,
        )

    def connect(self, *, autocommit: bool = True) -> psycopg.Connection[Any]:
        """Connect to the project's database."""
        return psycopg.connect(self.database_url, autocommit=autocommit)

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Give all rows of a query on the project's database."""
        with self.connect() as connection:
            return connection.execute(statement.encode(), parameters or None).fetchall()


def _method(name: str, argument: str, body: str, connection: str) -> str:
    body = textwrap.dedent(body).strip()
    if _is_sql(body):
        body = f"{connection}.execute(text({body!r}))"
    return f"    def {name}(self, {argument}):\n" + textwrap.indent(body, " " * 8) + "\n"


def _is_sql(body: str) -> bool:
    try:
        compile(body, "<body>", "exec", flags=0)
    except SyntaxError as error:
        return error.msg != "'return' outside function"
    return False


def _toml(settings: Mapping[str, Any]) -> str:
    lines = [f"{key} = {_value(value)}" for key, value in settings.items() if not isinstance(value, Mapping)]
    for group, values in settings.items():
        if isinstance(values, Mapping):
            lines += ["", f"[{group}]", *(f"{key} = {_value(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(entry) for entry in value)}]"
    return json.dumps(str(value) if isinstance(value, Path) else value)
