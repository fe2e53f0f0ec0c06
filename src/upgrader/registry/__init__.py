"""Commands: declared, found, checked and put in order. Imports author code; knows no database."""

from upgrader.registry.bundle import LoadedCommand, VersionBundle
from upgrader.registry.decorators import instance_command, workspace_command
from upgrader.registry.discovery import load, registry_of
from upgrader.registry.registry import Registry, merge

__all__ = [
    "LoadedCommand",
    "Registry",
    "VersionBundle",
    "instance_command",
    "load",
    "merge",
    "registry_of",
    "workspace_command",
]
