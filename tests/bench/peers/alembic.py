"""Alembic over many schemas: `command.upgrade` for each of them, one process, one connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, NullPool, create_engine

from tests.bench.blocks import timed
from tests.support.project import Project

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


@contextmanager
def alembic_contender(project: Project, workspaces: int) -> Iterator[Callable[[int], float]]:
    """Give what runs a new revision in so many schemas: seconds per workspace."""
    folder = project.directory / "alembic"
    project.write("alembic/env.py", _ENV)
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(project.database_url), poolclass=NullPool
    )
    numbers = count(1)

    def block(_: int) -> float:
        number = next(numbers)
        before = f"r{number - 1}" if number > 1 else None
        project.write(f"alembic/versions/r{number}.py", _REVISION.format(number=number, before=before))
        return timed(lambda: loop(connection)) / workspaces

    def loop(connection: Connection) -> None:
        for workspace in range(1, workspaces + 1):
            config = Config()
            config.set_main_option("script_location", str(folder))
            config.attributes.update(connection=connection, schema=f"ws_{workspace}")
            command.upgrade(config, "head")

    with engine.connect() as connection:
        yield block
