"""The settings, and the only reader of files and environment."""

from upgrader.settings.database_url import DatabaseUrlKind, database_url_kind, embedded_path
from upgrader.settings.load import (
    CommandLine,
    LoadedSettings,
    load_from_process,
    load_settings,
    require_database_url,
    working_directory,
)
from upgrader.settings.model import (
    CheckSettings,
    MissingPolicy,
    PreflightSettings,
    Settings,
    UnenrolledPolicy,
    WorkspaceSettings,
)
from upgrader.settings.table_name import TableName

__all__ = [
    "CheckSettings",
    "CommandLine",
    "DatabaseUrlKind",
    "LoadedSettings",
    "MissingPolicy",
    "PreflightSettings",
    "Settings",
    "TableName",
    "UnenrolledPolicy",
    "WorkspaceSettings",
    "database_url_kind",
    "embedded_path",
    "load_from_process",
    "load_settings",
    "require_database_url",
    "working_directory",
]
