"""What the parts of the comparison work with."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Table

from upgrader.generate.autogenerate.catalog import Catalog
from upgrader.generate.autogenerate.change import Changes
from upgrader.generate.autogenerate.probe import Probe
from upgrader.generate.autogenerate.scope import Scope
from upgrader.generate.autogenerate.sql_writer import SqlWriter

_LONGEST_NAME = 63


@dataclass(frozen=True)
class Ground:
    """One comparison: where to look, how to write, and what was found so far."""

    scope: Scope
    catalog: Catalog
    writer: SqlWriter
    changes: Changes = field(default_factory=Changes)

    @property
    def probe(self) -> Probe:
        """Has the server write what the models ask for."""
        return Probe(self.catalog, self.writer)

    def metadata_table(self, schema: str | None, name: str) -> Table:
        """Give a table of the metadata by its place in the database; no schema means the default one."""
        real = schema or self.scope.default_schema
        return next(
            table
            for table in self.scope.tables
            if (table.schema or self.scope.default_schema, table.name) == (real, name)
        )

    def live_name(self, schema: str | None, name: str) -> str:
        """Write the name of a table that the metadata may not know, qualified as the metadata's own are."""
        if schema is None and any(table.schema == self.scope.default_schema for table in self.scope.tables):
            schema = self.scope.default_schema
        quote = self.writer.quote
        return f"{quote(schema)}.{quote(name)}" if schema else quote(name)

    def warn(self, message: str) -> None:
        """Tell the author something."""
        self.changes.warnings.append(message)

    def default_name(self, *parts: str) -> str:
        """Give the name that PostgreSQL would give a constraint, as SQL: `invoice_number_key`."""
        return self.writer.quote("_".join(parts)[:_LONGEST_NAME])
