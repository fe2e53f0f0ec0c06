"""The text of a generated command. What is not written yet raises: nothing empty may count as done."""

from __future__ import annotations

from string import Template

from upgrader.command import CommandKind

_HEAD = '''"""$sentence"""

'''

_UP = """
    def up(self, connection: Connection) -> None:
        # TODO: make the change, for example
        #   connection.execute(text("ALTER TABLE core.invoice ADD COLUMN paid_on date"))
        # with `from sqlalchemy import text`.$note
        raise NotImplementedError("write up()")

    def down(self, connection: Connection) -> None:
        # TODO: take the change back, or delete this method: it is then irreversible.
        raise NotImplementedError("write down(), or delete it")
"""

_FAST = Template(
    _HEAD
    + '''from sqlalchemy import Connection
from upgrader import instance_command


@instance_command("$version", $timestamp$flags)
class $class_name:
    """$sentence"""
'''
    + _UP
)

_SLOW = Template(
    _HEAD
    + '''from sqlalchemy import Connection
from upgrader import DataMigrationContext, instance_command


@instance_command("$version", $timestamp, type="slow"$flags)
class $class_name:
    """$sentence"""

    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        # TODO: bring the data into shape. What is done in
        #   with ctx.transaction() as connection:
        # is committed at the end of that block. All this runs before up(), outside its
        # transaction, and again after a failure or a stop: it must be repeatable. Look
        # only at rows that are not done yet, and return between batches when
        # ctx.stop_requested is true.
        raise NotImplementedError("write run_data_migration()")
'''
    + _UP
)

_WORKSPACE = Template(
    _HEAD
    + '''from upgrader import WorkspaceContext, workspace_command


@workspace_command("$version", $timestamp$flags)
class $class_name:
    """$sentence"""

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        # TODO: make the change in the workspace at hand, for example
        #   ctx.connection.execute(text("ALTER TABLE invoice ADD COLUMN paid_on date"))
        # with `from sqlalchemy import text`. The search_path is the workspace's schema:
        # tables are named without one.$note
        raise NotImplementedError("write run_on_workspace()")

    def down_on_workspace(self, ctx: WorkspaceContext) -> None:
        # TODO: take the change back, or delete this method: it is then irreversible.
        raise NotImplementedError("write down_on_workspace(), or delete it")
'''
)

_TEMPLATES = {CommandKind.FAST: _FAST, CommandKind.SLOW: _SLOW, CommandKind.WORKSPACE: _WORKSPACE}

_REPEATABLE = """
        # It runs in autocommit, each statement by itself, and again after a failure: it
        # must be repeatable. create_index_concurrently and drop_index_concurrently of
        # `upgrader` are."""


def render(
    kind: CommandKind, *, version: str, timestamp: int, class_name: str, sentence: str, transactional: bool
) -> str:
    """Fill in the template of a kind."""
    return _TEMPLATES[kind].substitute(
        version=version,
        timestamp=timestamp,
        class_name=class_name,
        sentence=sentence,
        flags="" if transactional else ", transactional=False",
        note="" if transactional else _REPEATABLE,
    )
