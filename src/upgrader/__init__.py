"""Versioned database upgrades for PostgreSQL products with releases and many tenants.

Names are loaded when they are first used, so that `upgrader --help` needs none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.lazy_names import lazy_names

if TYPE_CHECKING:
    # The functions have longer names than the methods of the contexts: `upgrader.backfill` is a package.
    from upgrader.api import Upgrader as Upgrader
    from upgrader.backfill.outside import backfill_table as backfill_table
    from upgrader.backfill.outside import table_batches as table_batches
    from upgrader.command import Batch as Batch
    from upgrader.command import DataMigrationContext as DataMigrationContext
    from upgrader.command import FastInstanceCommand as FastInstanceCommand
    from upgrader.command import SkipWorkspace as SkipWorkspace
    from upgrader.command import SlowInstanceCommand as SlowInstanceCommand
    from upgrader.command import WorkspaceCommand as WorkspaceCommand
    from upgrader.command import WorkspaceContext as WorkspaceContext
    from upgrader.database.indexes import create_index_concurrently as create_index_concurrently
    from upgrader.database.indexes import drop_index_concurrently as drop_index_concurrently
    from upgrader.database.not_null import set_not_null as set_not_null
    from upgrader.database.rows_left import ensure_backfilled as ensure_backfilled
    from upgrader.errors import IrreversibleError as IrreversibleError
    from upgrader.history.enrolment import enroll_workspace as enroll_workspace
    from upgrader.history.enrolment import forget_workspace as forget_workspace
    from upgrader.model import Workspace as Workspace
    from upgrader.registry import instance_command as instance_command
    from upgrader.registry import workspace_command as workspace_command

_HOMES = {
    "Upgrader": "upgrader.api",
    "Batch": "upgrader.command",
    "DataMigrationContext": "upgrader.command",
    "FastInstanceCommand": "upgrader.command",
    "SkipWorkspace": "upgrader.command",
    "SlowInstanceCommand": "upgrader.command",
    "WorkspaceCommand": "upgrader.command",
    "WorkspaceContext": "upgrader.command",
    "IrreversibleError": "upgrader.errors",
    "backfill_table": "upgrader.backfill.outside",
    "create_index_concurrently": "upgrader.database.indexes",
    "drop_index_concurrently": "upgrader.database.indexes",
    "ensure_backfilled": "upgrader.database.rows_left",
    "set_not_null": "upgrader.database.not_null",
    "table_batches": "upgrader.backfill.outside",
    "enroll_workspace": "upgrader.history.enrolment",
    "forget_workspace": "upgrader.history.enrolment",
    "Workspace": "upgrader.model",
    "instance_command": "upgrader.registry",
    "workspace_command": "upgrader.registry",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
