"""The names of the settings: which there are, their variables, and which is nearest to a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_origin

from upgrader.settings.group import SettingsGroup
from upgrader.settings.model import Settings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

VARIABLE_PREFIX = "UPGRADER_"


@dataclass(frozen=True, slots=True)
class Key:
    """One setting.

    Attributes:
        name: as in a file, with dots: `workspaces.table`.
        is_list: whether its value is a list.
        is_table: whether its value is a table whose keys are the operator's.
        may_be_empty: whether an empty text has a meaning: "the table has no such column".
    """

    name: str
    is_list: bool
    is_table: bool
    may_be_empty: bool

    @property
    def variable(self) -> str:
        """Its name in the environment: `UPGRADER_WORKSPACES__TABLE`."""
        return VARIABLE_PREFIX + self.name.upper().replace(".", "__")


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody gave for a key.

    Attributes:
        origin: where, to be put behind the key in a sentence: `in upgrader.toml`, `from UPGRADER_SCHEMA`.
        base: what a relative path in the value is relative to.
    """

    key: str
    value: object
    origin: str
    base: Path


def known_keys() -> dict[str, Key]:
    """Give every key by its name."""
    return {key.name: key for key in _keys_of(Settings, "")}


def known_groups() -> set[str]:
    """Give the names of the tables that keys stand in: `workspaces`."""
    return {name.rpartition(".")[0] for name in known_keys()} - {""}


def nearest_key(name: str) -> str | None:
    """Give the known key that `name` was most likely meant to be; None if nothing is like it."""
    wanted = name.lower().replace("-", "_")
    full = [*known_keys(), *known_groups()]
    close = difflib.get_close_matches(wanted, full, n=1, cutoff=0.6)
    if close:
        return close[0]
    leaves = {key.rpartition(".")[2]: key for key in known_keys()}
    last = difflib.get_close_matches(wanted.rpartition(".")[2], leaves, n=1, cutoff=0.7)
    return leaves[last[0]] if last else None


def nested(values: Mapping[str, object]) -> dict[str, object]:
    """Turn `{"workspaces.table": x}` into `{"workspaces": {"table": x}}`."""
    tree: dict[str, object] = {}
    for name, value in values.items():
        *groups, leaf = name.split(".")
        branch = tree
        for group in groups:
            inner = branch.setdefault(group, {})
            assert isinstance(inner, dict)
            branch = inner
        branch[leaf] = value
    return tree


def _keys_of(model: type[SettingsGroup], prefix: str) -> Iterator[Key]:
    for attribute, field in model.model_fields.items():
        name = prefix + _alias(attribute, field)
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, SettingsGroup):
            yield from _keys_of(kind, name + ".")
        else:
            is_column = name.endswith("_column") and not name.endswith(".id_column")
            origin = get_origin(kind)
            yield Key(name, is_list=origin is tuple, is_table=origin is Mapping, may_be_empty=is_column)


def _alias(attribute: str, field: FieldInfo) -> str:
    return field.validation_alias if isinstance(field.validation_alias, str) else attribute
