"""A column for each of very many workspaces: the program, a hand-written psycopg loop, Alembic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, NullPool, create_engine

from tests.bench.blocks import Times, in_turns, timed
from tests.bench.stage import Stage, make_workspaces, run_program
from tests.support.project import Project

WORKSPACES = 1000
ALEMBIC_WORKSPACES = 200
BLOCKS = 7
PROGRAM_RUN = "upgrader: the run"
PROGRAM_PROCESS = "upgrader: the whole process"
LOOP = "psycopg loop"
ALEMBIC = "alembic"

_ENV = """
    from alembic import context
    from sqlalchemy import text

    connection = context.config.attributes["connection"]
    schema = context.config.attributes["schema"]
    connection.execute(text(f'set search_path to "{schema}"'))
    connection.commit()
    connection.dialect.default_schema_name = schema
    context.configure(connection=connection, version_table_schema=schema)
    with context.begin_transaction():
        context.run_migrations()
"""
_REVISION = """
    import sqlalchemy as sa
    from alembic import op

    revision = "r{number}"
    down_revision = {before!r}

    def upgrade():
        op.add_column("item", sa.Column("alembic_{number}", sa.Integer))
"""
_LOOP_TABLE = """
    create table core.loop_history (
        id bigint generated always as identity primary key, name text not null, workspace_id text not null,
        status text not null, attempt integer not null, started_at timestamptz not null default now(),
        finished_at timestamptz
    );
    create unique index on core.loop_history (workspace_id, name, attempt)
"""


@dataclass(frozen=True)
class Rates:
    """What was measured.

    Attributes:
        times: seconds per workspace.
        workspaces: of the program and the loop, in each block.
    """

    times: Times
    workspaces: int
    alembic_workspaces: int


@dataclass
class _Bench:
    project: Project
    workspaces: int
    process_seconds: list[float] = field(default_factory=list)

    def program(self, block: int) -> float:
        """Run `upgrader upgrade` for a new version; what counts is the run's own time, lock held."""
        number = block + 1
        self.project.workspace(
            f"1.{number}.0",
            number + 1,
            f"AddColumn{number}",
            f"alter table item add column upgrader_{number} integer",
        )
        document: dict[str, object] = {}
        seconds = timed(
            lambda: document.update(run_program(self.project, "--app-version", f"1.{number}.0", "upgrade"))
        )
        self.process_seconds.append(seconds / self.workspaces)
        return float(str(document["seconds"])) / self.workspaces

    def process(self, block: int) -> float:
        """Give the time of the process whose run was measured just now."""
        del block
        return self.process_seconds[-1]

    def loop(self, block: int) -> float:
        """Do the same by hand on one connection: search_path, DDL, history row, commit."""
        with psycopg.connect(
            self.project.database_url, autocommit=True, prepare_threshold=None
        ) as connection:
            return timed(lambda: self._loop(connection, block + 1)) / self.workspaces

    def _loop(self, connection: psycopg.Connection, number: int) -> None:
        for workspace in range(1, self.workspaces + 1):
            connection.execute("begin")
            connection.execute(f"set local search_path = ws_{workspace}, public".encode())
            connection.execute(f"alter table item add column loop_{number} integer".encode())
            connection.execute(
                "insert into core.loop_history (name, workspace_id, status, attempt, finished_at)"
                " values (%s, %s, 'completed', 1, clock_timestamp())",
                [f"1.{number}.0_AddColumn{number}_{number}", str(workspace)],
            )
            connection.execute("commit")


@contextmanager
def _alembic(project: Project, workspaces: int) -> Iterator[Callable[[int], float]]:
    """Give what runs `command.upgrade` in a loop over schemas, one connection for all, a new revision each block."""
    folder = project.directory / "alembic"
    project.write("alembic/env.py", _ENV)
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(project.database_url), poolclass=NullPool
    )

    def block(number: int) -> float:
        text = _REVISION.format(number=number + 1, before=f"r{number}" if number >= 0 else None)
        project.write(f"alembic/versions/r{number + 1}.py", text)
        return timed(lambda: loop(connection)) / workspaces

    def loop(connection: Connection) -> None:
        for workspace in range(1, workspaces + 1):
            config = Config()
            config.set_main_option("script_location", str(folder))
            config.attributes.update(connection=connection, schema=f"ws_{workspace}")
            command.upgrade(config, "head")

    with engine.connect() as connection:
        yield block


def measure(stage: Stage, *, quick: bool) -> Rates:
    """Run all three in turns on the same schemas."""
    workspaces, alembic_workspaces = (100, 20) if quick else (WORKSPACES, ALEMBIC_WORKSPACES)
    with stage.project("rate") as project:
        make_workspaces(project, workspaces, with_schemas=True)
        with project.connect() as connection:
            connection.execute(_LOOP_TABLE)
        bench = _Bench(project, workspaces)
        with _alembic(project, alembic_workspaces) as alembic:
            times = in_turns(
                {
                    LOOP: bench.loop,
                    PROGRAM_RUN: bench.program,
                    PROGRAM_PROCESS: bench.process,
                    ALEMBIC: alembic,
                },
                blocks=2 if quick else BLOCKS,
            )
    return Rates(times, workspaces, alembic_workspaces)
