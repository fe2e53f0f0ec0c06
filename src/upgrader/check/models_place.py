"""Where a table is defined in the application's models, for findings that point there."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import MetaData, Table

from upgrader.check.catalog.objects import CatalogObject


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """The class of a table."""

    file: Path
    line: int | None


class ModelsPlaces:
    """Finds the mapped classes of metadata among the modules that are loaded."""

    def __init__(self, metadata: Sequence[MetaData]) -> None:
        """Look at all loaded modules, once."""
        tables = {id(table) for one in metadata for table in one.tables.values()}
        self._classes = dict(_mapped_classes(tables))

    def of(self, found: CatalogObject) -> ModelPlace | None:
        """Give where the table of an object is defined; None where that is not known."""
        name = found.owner or found.name
        for table, owner in self._classes.values():
            if table.name == name and (table.schema is None or table.schema == found.schema):
                return _place(owner)
        return None


def _mapped_classes(tables: set[int]) -> Iterator[tuple[int, tuple[Table, type]]]:
    for module in list(sys.modules.values()):
        for value in list(getattr(module, "__dict__", {}).values()):
            if not isinstance(value, type) or value.__module__ != getattr(module, "__name__", None):
                continue
            table = value.__dict__.get("__table__")
            if isinstance(table, Table) and id(table) in tables:
                yield id(table), (table, value)


def _place(owner: type) -> ModelPlace | None:
    try:
        file = inspect.getsourcefile(owner)
        line = inspect.getsourcelines(owner)[1]
    except (OSError, TypeError):
        return None
    return ModelPlace(Path(file).absolute(), line) if file else None
