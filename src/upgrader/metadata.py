"""The application's own picture of its tables: SQLAlchemy metadata, named in the settings."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import reduce

from sqlalchemy import MetaData

from upgrader.errors import SettingsError


def load_metadata(names: Sequence[str]) -> tuple[MetaData, ...]:
    """Import what `metadata` in the settings names.

    Args:
        names: `package.module:attribute`, dots allowed behind the colon: `myapp.models:Base.metadata`.

    Raises:
        SettingsError: it cannot be imported, or is no MetaData.
    """
    return tuple(_load(name) for name in names)


def _load(name: str) -> MetaData:
    module_name, _, path = name.partition(":")
    try:
        found: object = reduce(getattr, path.split("."), importlib.import_module(module_name))
    except Exception as error:
        raise SettingsError(
            f"the metadata {name!r} cannot be imported: {type(error).__name__}: {error}",
            hint='write "package.module:attribute", importable from where the program runs',
        ) from error
    if not isinstance(found, MetaData):
        raise SettingsError(
            f"{name!r} is a {type(found).__name__}, not a MetaData",
            hint='name the MetaData itself, for example "myapp.models:Base.metadata"',
        )
    return found
